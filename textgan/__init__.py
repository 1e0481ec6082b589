"""textgan: adversarial text generation in PyTorch.

Shapes in all docstrings: B sentences, T positions, V vocabulary, E embedding, H hidden,
F features, R hypotheses in flight during rollouts, n rollouts of a prefix.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textgan.classifying import classify, load_classifier
    from textgan.contracts.checking import check
    from textgan.encoder_folder import open_encoder
    from textgan.encoding import encode
    from textgan.errors import Interrupted, UserError
    from textgan.evaluating import evaluate
    from textgan.evaluation import Evaluation
    from textgan.results import Results
    from textgan.run import open_run
    from textgan.trainer import resume, train

__version__ = "0.1.0"
__all__ = [
    "Evaluation",
    "Interrupted",
    "Results",
    "UserError",
    "check",
    "classify",
    "encode",
    "evaluate",
    "load_classifier",
    "open_encoder",
    "open_run",
    "resume",
    "train",
]

_homes = {
    "Evaluation": "evaluation",
    "Interrupted": "errors",
    "UserError": "errors",
    "Results": "results",
    "check": "contracts.checking",
    "classify": "classifying",
    "encode": "encoding",
    "evaluate": "evaluating",
    "load_classifier": "classifying",
    "open_encoder": "encoder_folder",
    "open_run": "run",
    "resume": "trainer",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    # torch is imported when something that needs it is asked for, not by `import textgan`
    if name not in _homes:
        raise AttributeError(f"module 'textgan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"textgan.{_homes[name]}"), name)
