"""textgan: adversarial text generation in PyTorch.

Shapes in all docstrings: B sentences, T positions, V vocabulary, E embedding, H hidden,
F features, R hypotheses in flight during rollouts, n rollouts of a prefix.
"""

import importlib
from typing import TYPE_CHECKING, Any

from textgan.core.version import __version__ as __version__

if TYPE_CHECKING:
    from textgan.classifiers.classifier import load_classifier as load_classifier
    from textgan.classifiers.results import Classification as Classification
    from textgan.classifiers.train import classify as classify
    from textgan.contracts.checking import check as check
    from textgan.core.errors import Interrupted as Interrupted
    from textgan.core.errors import NotKept as NotKept
    from textgan.core.errors import UserError as UserError
    from textgan.core.score import Score as Score
    from textgan.core.statistics import Estimate as Estimate
    from textgan.data.text import Condition as Condition
    from textgan.data.text import Text as Text
    from textgan.data.text import TextSpace as TextSpace
    from textgan.encoders.contrast.base import EncoderObjective as EncoderObjective
    from textgan.encoders.contrast.base import TwoViews as TwoViews
    from textgan.encoders.evaluate import EncoderEvaluation as EncoderEvaluation
    from textgan.encoders.evaluate import evaluate_encoders as evaluate_encoders
    from textgan.encoders.folder import open_encoder as open_encoder
    from textgan.encoders.results import EncoderResult as EncoderResult
    from textgan.encoders.train import encode as encode
    from textgan.evaluation.compare import compare as compare
    from textgan.evaluation.comparison import Comparison as Comparison
    from textgan.evaluation.comparison import Comparisons as Comparisons
    from textgan.evaluation.evaluate import evaluate as evaluate
    from textgan.evaluation.report.page import report as report
    from textgan.evaluation.results import Evaluation as Evaluation
    from textgan.evaluation.temperature_sweep import Sweep as Sweep
    from textgan.evaluation.temperature_sweep import curve as curve
    from textgan.metrics.base import Metric as Metric
    from textgan.metrics.base import MetricInputs as MetricInputs
    from textgan.metrics.base import Unavailable as Unavailable
    from textgan.models.discriminators.base import Discriminator as Discriminator
    from textgan.models.discriminators.stepwise import (
        StepwiseDiscriminator as StepwiseDiscriminator,
    )
    from textgan.models.embedding import TokenEmbedding as TokenEmbedding
    from textgan.models.generators.base import AutoregressiveGenerator as AutoregressiveGenerator
    from textgan.models.generators.base import Generator as Generator
    from textgan.models.generators.base import LinearGenerator as LinearGenerator
    from textgan.models.generators.base import State as State
    from textgan.models.generators.base import read_before as read_before
    from textgan.models.rollout import rollout_values as rollout_values
    from textgan.objectives.base import Objective as Objective
    from textgan.perturb.base import Perturbation as Perturbation
    from textgan.training.results import Results as Results
    from textgan.training.run import open_run as open_run
    from textgan.training.sample import sample as sample
    from textgan.training.trainer import resume as resume
    from textgan.training.trainer import train as train
    from textgan.training.translation import Translator as Translator
    from textgan.training.translation import load_translator as load_translator

# nothing that needs torch is imported before it is asked for
_homes = {
    "classifiers.classifier": ("load_classifier",),
    "classifiers.results": ("Classification",),
    "classifiers.train": ("classify",),
    "contracts.checking": ("check",),
    "core.errors": ("Interrupted", "NotKept", "UserError"),
    "core.score": ("Score",),
    "core.statistics": ("Estimate",),
    "data.text": ("Condition", "Text", "TextSpace"),
    "encoders.contrast.base": ("EncoderObjective", "TwoViews"),
    "encoders.evaluate": ("EncoderEvaluation", "evaluate_encoders"),
    "encoders.folder": ("open_encoder",),
    "encoders.results": ("EncoderResult",),
    "encoders.train": ("encode",),
    "evaluation.compare": ("compare",),
    "evaluation.comparison": ("Comparison", "Comparisons"),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.report.page": ("report",),
    "evaluation.results": ("Evaluation",),
    "evaluation.temperature_sweep": ("Sweep", "curve"),
    "metrics.base": ("Metric", "MetricInputs", "Unavailable"),
    "models.discriminators.base": ("Discriminator",),
    "models.discriminators.stepwise": ("StepwiseDiscriminator",),
    "models.embedding": ("TokenEmbedding",),
    "models.generators.base": (
        "AutoregressiveGenerator",
        "Generator",
        "LinearGenerator",
        "State",
        "read_before",
    ),
    "models.rollout": ("rollout_values",),
    "objectives.base": ("Objective",),
    "perturb.base": ("Perturbation",),
    "training.results": ("Results",),
    "training.run": ("open_run",),
    "training.sample": ("sample",),
    "training.trainer": ("resume", "train"),
    "training.translation": ("Translator", "load_translator"),
}
_home_of = {name: home for home, names in _homes.items() for name in names}
__all__ = sorted(_home_of)


# commands whose function is elsewhere, or that only print
_commands = {
    "bench": "; import textgan.bench and call textgan.bench.run_bench()",
    "list": "; parts are listed by the command: textgan list",
    "similarity": "; call textgan.evaluate_encoders()",
}


def __getattr__(name: str) -> Any:
    if name not in _home_of:
        remedy = _commands.get(name, "")
        raise AttributeError(f"module 'textgan' has no attribute {name!r}{remedy}")
    return getattr(importlib.import_module(f"textgan.{_home_of[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
