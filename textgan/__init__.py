"""textgan: adversarial text generation in PyTorch.

Shapes in all docstrings: B sentences, T positions, V vocabulary, E embedding, H hidden,
F features, R hypotheses in flight during rollouts, n rollouts of a prefix.
"""

import importlib
from typing import TYPE_CHECKING, Any

from textgan.core.version import __version__ as __version__

if TYPE_CHECKING:
    from textgan.classifiers.train import classify, load_classifier
    from textgan.contracts.checking import check
    from textgan.core.errors import Interrupted, UserError
    from textgan.encoders.folder import open_encoder
    from textgan.encoders.train import encode
    from textgan.evaluation.compare import Comparison, Comparisons
    from textgan.evaluation.evaluate import compare, evaluate
    from textgan.evaluation.report.page import report
    from textgan.evaluation.results import Evaluation
    from textgan.evaluation.temperature_sweep import Sweep, curve
    from textgan.training.results import Results, sample
    from textgan.training.run import open_run
    from textgan.training.trainer import resume, train

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
    "Comparison": "evaluation.compare",
    "Comparisons": "evaluation.compare",
    "Evaluation": "evaluation.results",
    "Interrupted": "core.errors",
    "Results": "training.results",
    "Sweep": "evaluation.temperature_sweep",
    "UserError": "core.errors",
    "check": "contracts.checking",
    "classify": "classifiers.train",
    "compare": "evaluation.evaluate",
    "curve": "evaluation.temperature_sweep",
    "encode": "encoders.train",
    "evaluate": "evaluation.evaluate",
    "load_classifier": "classifiers.train",
    "open_encoder": "encoders.folder",
    "open_run": "training.run",
    "report": "evaluation.report.page",
    "resume": "training.trainer",
    "sample": "training.results",
    "train": "training.trainer",
}


def __getattr__(name: str) -> Any:
    # torch is imported when something that needs it is asked for, not by `import textgan`
    if name not in _homes:
        raise AttributeError(f"module 'textgan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"textgan.{_homes[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
