"""textgan: adversarial text generation in PyTorch.

Shapes in all docstrings: B sentences, T positions, V vocabulary, E embedding, H hidden,
F features, R hypotheses in flight during rollouts, n rollouts of a prefix.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textgan.classifying import classify, load_classifier
    from textgan.comparison import Comparison, Comparisons
    from textgan.contracts.checking import check
    from textgan.encoder_folder import open_encoder
    from textgan.encoding import encode
    from textgan.errors import Interrupted, UserError
    from textgan.evaluating import compare, evaluate
    from textgan.evaluation import Evaluation
    from textgan.reporting import report
    from textgan.results import Results, sample
    from textgan.run import open_run
    from textgan.sweep import Sweep, curve
    from textgan.trainer import resume, train

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "Comparisons",
    "Evaluation",
    "Interrupted",
    "Results",
    "Sweep",
    "UserError",
    "check",
    "classify",
    "compare",
    "curve",
    "encode",
    "evaluate",
    "load_classifier",
    "open_encoder",
    "open_run",
    "report",
    "resume",
    "sample",
    "train",
]

_homes = {
    "Comparison": "comparison",
    "Comparisons": "comparison",
    "Evaluation": "evaluation",
    "Interrupted": "errors",
    "Results": "results",
    "Sweep": "sweep",
    "UserError": "errors",
    "check": "contracts.checking",
    "classify": "classifying",
    "compare": "evaluating",
    "curve": "sweep",
    "encode": "encoding",
    "evaluate": "evaluating",
    "load_classifier": "classifying",
    "open_encoder": "encoder_folder",
    "open_run": "run",
    "report": "reporting",
    "resume": "trainer",
    "sample": "results",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    # torch is imported when something that needs it is asked for, not by `import textgan`
    if name not in _homes:
        raise AttributeError(f"module 'textgan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"textgan.{_homes[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
