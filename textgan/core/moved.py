"""The modules of version 0.1 by their present places, for own parts that were written for it.

A run keeps a copy of its user's own parts and goes on with it, so what such a file imports from
where version 0.1 had it comes from where it is now. This holds for files of own parts alone:
everybody else imports from `textgan`, whose names stay.
"""

from __future__ import annotations

import builtins
import importlib
from contextlib import suppress
from types import ModuleType
from typing import Any

# without "textgan."; several where a module was divided, the one with the rest of it first
MOVED = {
    "accelerator": "core.device",
    "attacks": "classifiers.attack",
    "backward": "training.shards core.optim",
    "bleu": "metrics.functional.bleu",
    "charts": "evaluation.report.charts",
    "checkpoint": "training.checkpoint core.tensors core.files",
    "classification": "classifiers.results",
    "classifying": "classifiers.train",
    "comparison": "evaluation.comparison core.statistics",
    "config": "training.config core.optim",
    "contracts.contrasts": "encoders.contrast.contract",
    "contracts.dry_run": "training.dry_run models.contract perturb.contract core.contract",
    "contracts.metrics": "metrics.contract",
    "contracts.rules": "core.contract data.contract",
    "contrast": "encoders.contrast",
    "contrast.base": "encoders.contrast.base perturb.shifts core.seeds",
    "corpus": "data.corpus data.tokenizers data.batches data.splits data.labelled",
    "curves": "evaluation.tradeoff",
    "data.fit": "data.token_fit",
    "datasets": "data.datasets",
    "discriminators": "models.discriminators",
    "discriminators.base": "models.discriminators.base models.embedding",
    "encoder_folder": "encoders.folder encoders.base encoders.pretrained",
    "encoders": "metrics.vectors",
    "encoding": "encoders.train",
    "errors": "core.errors",
    "evaluating": "evaluation.evaluate evaluation.compare evaluation.store",
    "evaluation": "evaluation.results core.score",
    "frechet": "metrics.functional.frechet",
    "generators": "models.generators",
    "generators.base": "models.generators.base models.embedding models.draw models.sampling",
    "hf_folder": "core.huggingface",
    "intervals": "core.statistics",
    "judge": "evaluation.scoring",
    "judge_encoders": "encoders.evaluate",
    "likelihoods": "models.likelihood",
    "lines": "data.lines",
    "listing": "cli.listing",
    "log": "core.log",
    "losses": "losses core.optim",
    "materials": "evaluation.inputs evaluation.texts evaluation.file_inputs evaluation.run_inputs",
    "mauve": "metrics.functional.mauve",
    "metrics.base": "metrics.base core.score",
    "metrics.networks": "metrics.networks data.batches data.tokenizers",
    "monitor": "training.monitor training.measure models.draw",
    "nearest": "metrics.functional.nearest",
    "ngrams": "metrics.functional.ngrams",
    "noise": "data.noise",
    "oracle": "models.oracle",
    "output_layer": "models.output_layer",
    "parallel": "core.distributed",
    "perturb.base": "perturb.base perturb.shifts perturb.passes core.seeds",
    "precision": "core.precision",
    "pretrained": "models.pretrained",
    "reading": "data.tokenizers data.splits",
    "registry": "core.registry core.settings core.names",
    "relaxation": "models.relaxation",
    "reporting": "evaluation.report.page",
    "results": "training.results training.sample training.plot",
    "rollout": "models.rollout",
    "run": "training.run core.locks core.device core.files",
    "sampling": "models.sampling core.seeds models.generators.base",
    "schedule": "training.schedule",
    "sentences": "data.sentences data.tokenizers",
    "similarity": "encoders.similarity",
    "sts": "encoders.sts",
    "subjects": "evaluation.report.runs",
    "sweep": "evaluation.temperature_sweep",
    "templates": "encoders.templates",
    "text": "data.text",
    "tokenizers": "data.pre_tokenizer",
    "trainer": "training.trainer",
    "training": "training.state core.optim",
    "wording": "core.format core.names core.settings",
}
FOLDERS = ("contrast", "discriminators", "generators")  # whose modules kept their names
RENAMED = {
    "Choose": "Sampler",
    "Contrast": "EncoderObjective",
    "Drawer": "BlockSampler",
    "EncoderReport": "EncoderEvaluation",
    "Here": "ShiftedPass",
    "Material": "MetricInputs",
    "MatrixPlace": "EmbeddingWeight",
    "OutputPlace": "EmbeddingOutput",
    "Pick": "HiddenSampler",
    "Place": "ShiftTarget",
    "PretrainedReader": "PretrainedTokenizer",
    "Reader": "Tokenizer",
    "Training": "TrainingState",
    "Tokenizer": "PreTokenizer",
    "TwoLooks": "TwoViews",
    "Vocabulary": "WordTokenizer",
    "WordReader": "WordTokenizer",
    "Words": "WordTokenizer",
    "bare": "basename",
    "check": "check_settings",
    "check_contrast": "check_encoder_objective",
    "compare": "compare_scores",
    "checked_memory": "checked_state",
    "different": "unique_names",
    "flat": "flatten",
    "interval": "format_interval",
    "judge": "score",
    "judged": "corpus_score",
    "judge_encoders": "evaluate_encoders",
    "lay_out_files": "inputs_from_files",
    "lay_out_run": "inputs_from_run",
    "listed": "join_names",
    "middle": "format_estimate",
    "nested": "unflatten",
    "number": "format_number",
    "open_reader": "build_tokenizer",
    "place_of": "shift_target",
    "said": "format_value",
    "said_of": "checked_outputs",
    "seeded": "fork_rng",
    "settings": "settings_of",
    "spoken": "name_in_sentence",
    "spoken_of": "strip_paths",
    "waits": "is_asynchronous",
    "widened": "padded_to",
}
# what has no place any more, and what is written for it
GONE = {
    "Known": "textgan.data.tokenizers.WordTokenizer",
    "SPECIAL": "space.special",
    "START": "space.bos",
    "accumulated": "lambda network, loss, outputs=None, scale=1.0: loss()",
    "average_ranks": "scipy.stats.rankdata",
    "characters": 'textgan.data.pre_tokenizer.PreTokenizer("char")',
    "known_words": "textgan.metrics.networks.shared_tokenizer",
    "labels_like": "text.condition.draw(n)",
    "ngram_jsd": "textgan.metrics.functional.ngrams.divergence",
    "ngram_jsds": "textgan.metrics.functional.ngrams.divergence",
    "outputs_of": "network.logits(text)",
    "separator_of": "textgan.data.pre_tokenizer.PreTokenizer",
    "split_sentence": "textgan.data.pre_tokenizer.PreTokenizer",
    "tokenizer": "textgan.data.pre_tokenizer.PreTokenizer",
    "unique_share": "len(torch.unique(text.tokens, dim=0)) / len(text)",
}
# what Python says of a call that version 0.1 took, and what is written now
SPELLINGS = {
    r"\bread_before\(\) missing": "read_before(text, space)",
    r"\bpadded_to\(\) missing": "padded_to(text, width, space.pad)",
    r"\bdraw_texts\(\) got .*'labels'": "draw_texts(..., condition=Condition(labels))",
    r"\bstart\(\) (got|takes)": "start(n, condition)",
    r"\b(not|non-iterable) State\b|'State' object": "state.carried, and state.carry(...)",
    r"__init__\(\) got .*'reader'": "tokenizer=",
    r"\b(finite|direction|ascend)\(\) got .*'slope'": "gradient=",
    r"\baccumulate\(\) got .*'gradient'": "grad_output=",
}
TABLE = "the list in docs/extending.md, 'If you wrote parts for 0.1', and CHANGELOG.md, Breaking"


def import_as_in_0_1(
    name: str,
    globals: dict[str, Any] | None = None,
    locals: dict[str, Any] | None = None,
    fromlist: tuple[str, ...] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import for a file of own parts as `__import__` does, but find modules of version 0.1, too."""
    top, _, old = name.partition(".")
    if level or top != "textgan":
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    if old and not _was_there(old):
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        there = all(one == "*" or hasattr(module, one) for one in fromlist or ())
        return (module if there else _Module(name)) if fromlist else _Module(top)
    return _Module(name if fromlist else top)


class _Module(ModuleType):
    """textgan, or a module of it as version 0.1 had it: its names, wherever they are now."""

    def __getattr__(self, name: str) -> Any:
        old = self.__name__.partition(".")[2]
        inner = f"{old}.{name}".removeprefix(".")
        if _was_there(inner):
            return _Module(f"textgan.{inner}")
        for home in (old, *_homes(old)):
            with suppress(ModuleNotFoundError):
                module = importlib.import_module(f"textgan.{home}".removesuffix("."))
                for one in (name, RENAMED.get(name, name)):
                    if hasattr(module, one):
                        return getattr(module, one)
        if not name.startswith("__"):
            with suppress(ModuleNotFoundError):
                return importlib.import_module(f"textgan.{inner}")
            present = f"write {GONE[name]}" if name in GONE else f"see {TABLE}"
            raise ImportError(f"{self.__name__} has no {name}; {present}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class FormerName:
    """An attribute or a method by the name that version 0.1 had for it. Files of own parts may
    use it; `adopt_former_names` does the same for those that they define."""

    def __init__(self, name: str) -> None:
        self.name = name  # now

    def __set_name__(self, owner: type, former: str) -> None:
        self.former = former

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return getattr(owner, self.name)
        order = type(instance).__mro__
        # where a class defines the former name, only its super() comes here
        own = [i for i, one in enumerate(order) if vars(one).get(self.former, self) is not self]
        if not own:
            return getattr(instance, self.name)
        above = (one for one in order[own[-1] + 1 :] if self.name in vars(one))
        return vars(next(above))[self.name].__get__(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance, self.name, value)


def adopt_former_names(part: type) -> None:
    """Let what a class defines by former names of its bases' be what is called."""
    for base in part.__mro__[1:]:
        for former, attribute in vars(base).items():
            if isinstance(attribute, FormerName) and former in vars(part):
                setattr(part, attribute.name, vars(part)[former])


def _homes(old: str) -> list[str]:
    """The modules that have the names of one of version 0.1; none where it did not move."""
    folder, _, name = old.rpartition(".")
    if old not in MOVED and folder in FOLDERS:
        return [f"{MOVED[folder]}.{name}"]
    return MOVED.get(old, "").split()


def _was_there(old: str) -> bool:
    """Whether version 0.1 had a module, or modules in a folder, of which some moved."""
    return bool(_homes(old)) or any(one.startswith(f"{old}.") for one in MOVED)
