"""A run's folder: everything that is needed to resume, sample, evaluate and share it.

config.json           every setting, defaults included
run.json              versions, machine, command, facts about the data, hashes of these files
data.safetensors      the corpus as token ids, split
vocabulary.json       the words, where there are words; source_vocabulary.json: of the sources
oracle.safetensors    the oracle's parameters, where there is an oracle
init.safetensors      the generator that it starts from, where that is another run's
code/                 copies of the user's own parts, which run only where that is allowed
checkpoints/          the last two states of training
mle.safetensors       the generator at its best MLE epoch
metrics.jsonl         one line a tick; beside it TensorBoard's event files
results.json, curves.png, samples.txt      the end
evaluation.json, evaluation-*.safetensors, curve.json, report.html    what was measured afterwards
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from textgan.core import registry
from textgan.core.arguments import checked_arguments
from textgan.core.contract import contained, making, name_of, undisturbed
from textgan.core.device import Device, choose_device
from textgan.core.errors import UserError, option
from textgan.core.files import (
    exists,
    file_digest,
    is_file,
    is_folder,
    is_partial,
    read_json,
    read_text,
    system_errors,
    understood,
    unwritable,
    write_file,
)
from textgan.core.identity import (
    CONFIG,
    DATA,
    FACTS,
    RUN,
    Identity,
    digest_of,
    experiment_of,
    identify,
    write_sealed,
)
from textgan.core.locks import LOCK, locked
from textgan.core.matmul import LIBRARIES, Library, library_now, matmul_by
from textgan.core.memory import TooLarge, count_weights, in_units, memory_of
from textgan.core.memory import memory_errors as memory_errors
from textgan.core.names import Kind
from textgan.core.own_code import FOLDER as COPIES
from textgan.core.own_code import Code, Typed, copies_of, own_file
from textgan.core.precision import supported
from textgan.core.settings import flatten
from textgan.core.statistics import Estimate
from textgan.core.streams import SCHEME, OldSeed
from textgan.core.tensors import (
    digest,
    load_tensors,
    read_facts,
    restore_module,
    save_tensors,
    under_prefix,
    with_prefix,
)
from textgan.core.version import __version__
from textgan.data.checks import (
    corpus_warnings,
    different_pairs,
    different_sentences,
    unknown_share,
)
from textgan.data.corpus import Corpus, Following, read_corpus
from textgan.data.splits import PARTS, PartName
from textgan.data.text import UNCONDITIONAL, Text, TextSpace, exchange_sources
from textgan.data.tokenizers import UNKNOWN, WordTokenizer
from textgan.models.discriminators.base import Discriminator
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.generators.recurrent import LSTMGenerator
from textgan.models.likelihood import nll_per_token
from textgan.models.oracle import load_oracle, make_oracle, new_oracle, oracle_corpus
from textgan.models.resample import ResampledGenerator
from textgan.objectives.base import Objective
from textgan.perturb.base import Perturbation
from textgan.training.checkpoint import checkpoints, load_checkpoint, what_helps
from textgan.training.config import RunConfig, read_config
from textgan.training.dry_run import check_objective, dry_run
from textgan.training.schedule import PHASE_NAMES, plan

WORDS, SOURCE_WORDS = "vocabulary.json", "source_vocabulary.json"
ORACLE, INIT = "oracle.safetensors", "init.safetensors"
MLE = "mle.safetensors"
AVERAGE = "average"  # of the generator's weights, in a checkpoint
Weights = Literal["final", "mle"]
ANY_CORPUS = 64  # sentences of a batch that a corpus of any size is read in
_WITHOUT_MLE = "restore this run's own, or remove it to do without MLE"


@dataclass(frozen=True)
class Run:
    """A run's folder, opened: what does not change while it trains.

    code: which files of code may be imported for it.
    """

    folder: Path
    config: RunConfig
    corpus: Corpus
    oracle: LSTMGenerator | None
    device: torch.device
    identity: Identity
    code: Code
    old: bool = False  # it began with the first version, and goes on to draw as that did
    began_with: Library | None = None  # whose matrix products it began with, where that is known
    init_recipe: str = ""  # of the run whose generator it starts from, if there is one

    @property
    def seed(self) -> int:
        """The seed that the streams of the run are made from, see `textgan.core.streams`."""
        return OldSeed(self.config.seed) if self.old else self.config.seed

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self.config.objective.name} on {self.corpus.name})"

    @property
    def library(self) -> Library | None:
        """Whose matrix products it takes: as its config says, or as it began; None: the fastest."""
        named = self.config.matmul
        return self.began_with if named == "auto" else named

    def products(self) -> AbstractContextManager[None]:
        """Take matrix products inside as the run does."""
        return matmul_by(self.library)

    @property
    def digest(self) -> str:
        """Of all that decides the run's course: its settings and what it was made with."""
        return self.identity.digest

    @property
    def resume_command(self) -> str:
        """The command that resumes it."""
        own = any(own_file(name) is not None for name in self.config.part_names.values())
        return f"textgan resume {self.folder}" + (" --trust-code" if own else "")

    @property
    def method(self) -> str:
        """The objective's name, without the file that it may be in."""
        return self.config.objective.name.rpartition(":")[2]

    @property
    def recipe(self) -> str:
        """Equal for runs that are seeds of one experiment."""
        return experiment_of(self.config.model_dump() | {"init": self.init_recipe})

    @property
    def resample(self) -> int:
        """Among how many candidates each text of its table's resampled row is picked: the setting
        of its method, where that has one; 0: there is no such row."""
        return int(self.config.objective.settings.get("resample", 0))

    @property
    def oracle_entropy(self) -> float | None:
        """Nats per token that the oracle's own texts cost it: the floor of NLL_oracle."""
        return None if self.oracle is None else float(self.corpus.facts["oracle_entropy"])

    @property
    def oracle_level(self) -> Estimate | None:
        """`oracle_entropy` with its interval."""
        entropy = self.oracle_entropy
        if entropy is None:
            return None
        low, high = self.corpus.facts.get("oracle_entropy_interval", (None, None))
        return Estimate(entropy, low, high)

    def build_generator(self) -> Generator:
        """Build the run's generator as the seed makes it, untrained."""
        built = self._make("generator", "generator", self.corpus.space)
        assert isinstance(built, Generator)
        return built.to(self.device)

    def build_discriminator(self) -> Any:
        """Build the run's discriminator, untrained: a Discriminator, or a language model where the
        method wants one; None where the method has none."""
        if not self.config.discriminator.name:
            return None
        objective = registry.find("objective", self.config.objective.name, code=self.code)
        built = self._make("discriminator", objective.discriminator_kind, self.corpus.space)
        assert isinstance(built, Discriminator | AutoregressiveGenerator)
        return built.to(self.device)

    def build_objective(self) -> Objective:
        """Build the run's method, not yet connected."""
        built = self._make("objective", "objective")
        assert isinstance(built, Objective)
        built.old, built.oracle = self.old, self.oracle
        return built

    def _make(self, group: str, kind: Kind, *arguments: Any) -> Any:
        """A new part, as a group of the config says."""
        if group not in self._makers:
            part = getattr(self.config, group)
            self._makers[group] = registry.maker(
                kind, part.name, part.settings, self.code, checked=True
            )
        return self._makers[group](*arguments)

    @cached_property
    def _makers(self) -> dict[str, Callable[..., Any]]:
        return {}

    def perturbations(self) -> dict[str, Perturbation]:
        """Build the perturbations of the run, as in its config."""
        return self.config.perturbations(self.code)

    def mle_lack(self) -> str:
        """Return why the run has no row of its best MLE epoch, though it should have one; else "".

        Raises UserError where its file is not the one that the last checkpoint knows of.
        """
        path, saved = self.folder / MLE, checkpoints(self.folder)
        facts = read_facts(saved[-1], what_helps(saved[-1])) if saved else {}
        best = facts.get("best_mle")
        if best is None or facts.get(RUN) != self.digest:  # who loads it says the latter
            return ""
        if not exists(path):
            return f"no MLE row: {MLE} is missing, which this run once had; restore it from a copy"
        score = read_facts(path, _WITHOUT_MLE).get("score", best)
        # it is written before the checkpoint, so it may be better where a run was killed
        finished = is_file(self.folder / "results.json")
        if not isinstance(score, float) or score > best or (finished and score < best):
            raise UserError(
                f"{path} is not of this run's best MLE epoch (it scored {score}, not {best}); "
                f"{_WITHOUT_MLE}"
            )
        return ""

    def stopped_at(self) -> str | None:
        """Return where a run stopped before its end; None for a finished one."""
        saved = checkpoints(self.folder)
        if not saved:
            return None
        facts = read_facts(saved[-1], what_helps(saved[-1]))
        schedule, adversary = self.config.schedule, bool(self.config.discriminator.name)
        steps = plan(schedule, len(self.corpus.train), adversary)
        step = next(islice(steps, int(facts["done"]), None), None)
        if step is None:
            return None if exists(self.folder / "results.json") else "before its final measures"
        turns = {
            "mle": schedule.mle_epochs,
            "discriminator": schedule.discriminator_turns,
            "adversarial": schedule.rounds,
        }
        return f"in {PHASE_NAMES[step.phase]} {step.number + 1} of {turns[step.phase]}"

    def load_mle(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Load weights and facts of the best MLE epoch. Raises UserError unless they are this
        run's."""
        path = self.folder / MLE
        tensors, facts = load_tensors(path, _WITHOUT_MLE)
        self.identity.check(path, facts, _WITHOUT_MLE)
        if not isinstance(facts.get("epoch"), int):
            raise UserError(f"{path} does not hold an MLE epoch; {_WITHOUT_MLE}")
        return tensors, facts

    def load_init(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Load weights and facts of the generator that the run starts from; nothing where it starts
        from none.

        The facts are epoch, of how many, and score. Raises UserError unless the file is this run's.
        """
        if not self.config.init:
            return {}, {}
        tensors, facts = load_tensors(self.folder / INIT)
        self.identity.check_file(INIT)
        return under_prefix("generator", tensors), facts

    def load_generator(self, weights: Weights = "final") -> Generator:
        """Load the trained generator: as the last checkpoint has it, or at its best MLE epoch.

        The method and the discriminator are built only where the generator reads of them, so that
        a run whose method is in a file of its own can be sampled without importing that.
        Raises UserError when the run has not come so far.
        """
        generator, discriminator = self.build_generator(), None
        if generator.reads_discriminator or own_file(self.config.generator.name) is not None:
            discriminator = self.build_discriminator()
            # first of all: a generator that reads what its discriminator leaks is as wide as that
            self.build_objective().connect(generator, discriminator, self.corpus.train)
        if weights == "mle":
            path = self.folder / MLE
            if not path.exists():
                raise UserError(f"{self.folder} has no MLE weights (yet): {path.name} is missing")
            tensors, facts = self.load_mle()
            remedy = _WITHOUT_MLE
        else:
            saved = checkpoints(self.folder)
            if not saved:
                raise UserError(f"{self.folder} has no checkpoint yet: {self.resume_command}")
            path = saved[-1]
            tensors, facts = load_checkpoint(path)
            remedy = "restore this run's own"
        self.identity.check(path, facts, remedy)
        own, average = (under_prefix(name, tensors) for name in ("generator", AVERAGE))
        restore_module(generator, own | average, path)
        if discriminator is not None:
            restore_module(discriminator, under_prefix("discriminator", tensors), path)
            discriminator.eval()
        return generator.eval()

    def load_resampled(self, n: int) -> ResampledGenerator:
        """Load the trained generator, of whose texts the discriminator picks one of n candidates.

        Raises UserError where the run has no discriminator whose score of a text is a logit.
        """
        objective = registry.find("objective", self.config.objective.name, code=self.code)
        discriminator = self.build_discriminator()
        if not isinstance(discriminator, Discriminator) or not objective.score_is_logit:
            raise UserError(
                f"resample = {n} needs a discriminator whose score of a text is a logit, which "
                f"{self.method} has not; give a run of a method that has, such as residual_ebm"
            )
        generator = self.load_generator()
        path = checkpoints(self.folder)[-1]
        tensors, _ = load_checkpoint(path)
        # whose texts the discriminator learnt from: of the weights, not of their mean
        restore_module(generator, under_prefix("generator", tensors), path)
        restore_module(discriminator, under_prefix("discriminator", tensors), path)
        return ResampledGenerator(generator, discriminator, n).eval()


def create_run(config: RunConfig, out: Path | None, quiet: bool = True) -> Run:
    """Create a new run in a new folder, as `open_run` would open it; nothing is written unless
    everything about it is sound.

    out: the folder, which must be new or empty; None chooses `runs/<objective>-<data>-<number>`.
    quiet: show no progress. Raises UserError.
    """
    with _writing(out):
        if out is not None:
            _refuse_used(out)
    objective = registry.find("objective", config.objective.name, code=Typed())
    if objective.needs_source and not config.has_source:
        raise UserError(
            f"objective.name = {config.objective.name!r} needs texts that answer a source; give "
            "data.pairs, or data.source with data.file"
        )
    device = choose_device(config.device)
    supported(config.precision, device)
    copies, contents = copies_of(config.part_names.values())
    with memory_errors("a smaller vocabulary, length or network"):
        corpus, oracle = make_corpus(config, quiet)
        check_batches(config, len(corpus.train))
        init = _read_init(config, corpus)
        unnamed = Identity(Path(), "")
        _check_sizes(config, corpus.space, device)
        _check_parts(Run(Path(), config, corpus, oracle, device, unnamed, Typed()))
    with _writing(out):
        folder = _make_folder(config, corpus) if out is None else out
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            _refuse_used(folder)  # somebody may have been faster
            _forget_begun(folder)
            names = _write_corpus(folder, corpus, oracle)
            if init is not None:
                save_tensors(folder / INIT, init.weights, init.facts)
                names.append(INIT)
            for name, content in contents.items():
                (folder / name).parent.mkdir(exist_ok=True)
                write_file(folder / name, content)
            files = {name: file_digest(folder / name) for name in [*names, *contents]}
            digest = digest_of(json.loads(config.to_json()), files, copies)
            with matmul_by(None if config.matmul == "auto" else config.matmul):
                library = library_now()
            facts = _facts(corpus) | {"matmul": library, "files": files, "code": copies}
            facts |= {"init": init.about} if init is not None else {}
            write_sealed(folder / FACTS, facts, digest)
            # last, for its presence is what makes the folder a run
            write_file(folder / CONFIG, config.to_json().encode())
    identity = Identity(folder, digest, files, copies)
    return Run(
        folder,
        config,
        corpus.to(device),
        None if oracle is None else oracle.requires_grad_(False).to(device),
        device,
        identity,
        identity.code(trusted=True),  # the user named it a moment ago
        began_with=library,
        init_recipe=init.about["recipe"] if init is not None else "",
    )


@contextmanager
def _writing(out: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(unwritable(f"out = {str(out)!r}", error)) from None


@system_errors()
@checked_arguments
def open_run(
    folder: Annotated[str | Path, "a run's folder"],
    device: Device | None = None,
    *,
    trust_code: bool = False,
) -> Run:
    """Open the run in a folder; `device` overrides the one it was made for.

    trust_code: whether parts in files of its maker's own may be imported, which is to run their
    code; where they are needed, and it is not given, a UserError names the file.
    Raises UserError for a folder that is not a run, or a damaged one.

    Example:
        >>> textgan.open_run("runs/mine").corpus.name
    """
    folder = Path(folder)
    if not exists(folder / CONFIG):
        what = "is not a run (it has no config.json)" if is_folder(folder) else "does not exist"
        if is_file(folder):
            inside = exists(folder.parent / CONFIG)
            what = f"is a file{f' of the run {str(folder.parent)!r}' * inside}"
        raise UserError(f"{str(folder)!r} {what}; a run is a folder made by textgan train")
    identity, config = identify(folder), read_config(folder / CONFIG)
    chosen = choose_device(device or config.device)
    with understood(folder):
        return _open(identity, config, chosen, trust_code)


def _open(identity: Identity, config: RunConfig, chosen: torch.device, trust_code: bool) -> Run:
    folder = identity.folder
    tensors, facts = load_tensors(folder / DATA)
    identity.check_file(DATA)
    if facts.get("listed") and identity.files is None:
        raise UserError(f"{folder / FACTS} lacks its list of files; restore it from a copy")
    parts = {part: Text.from_tensors(under_prefix(part, tensors)) for part in PARTS}
    # 0.1 did not name the unknown word
    named = {"unknown": UNKNOWN if config.data.path else None}
    space = TextSpace.from_dict(named | facts["space"])
    names = tuple(facts.get("label_names", ()))
    for name, part in parts.items():
        check_texts(name, part, space, len(names))
    oracle = None
    if config.data.path:
        tokenizer = _open_tokenizer(identity, space, WORDS)
    else:
        oracle = _open_oracle(identity, space).to(chosen)
        tokenizer = WordTokenizer.numbers(space.vocabulary, space.length)
    source = None
    if space.source is not None and oracle is None:
        source = _open_tokenizer(identity, space.source, SOURCE_WORDS)
    elif space.source is not None:
        source = WordTokenizer.numbers(space.source.vocabulary, space.source.length)
    corpus = Corpus(
        facts["name"], space, parts["train"], parts["valid"], parts["test"], tokenizer,
        facts["facts"], names, source, _open_following(tensors, parts, space),
        _open_conversations(tensors, parts),
    )  # fmt: skip
    scheme = facts.get("streams", 1)
    if scheme > SCHEME:
        raise UserError(f"{str(folder)!r} was made by a later version of textgan; install that one")
    old = scheme < SCHEME
    code = identity.code(trust_code)
    about = read_json(folder / FACTS) if exists(folder / FACTS) else {}
    began = about.get("matmul")
    library = began if began in LIBRARIES else None
    recipe = about.get("init", {}).get("recipe", "")
    return Run(
        folder, config, corpus.to(chosen), oracle, chosen, identity, code, old, library, recipe
    )  # fmt: skip


def _open_tokenizer(identity: Identity, space: TextSpace, name: str) -> WordTokenizer:
    identity.check_file(name)
    path = identity.folder / name
    with understood(path):
        tokenizer = WordTokenizer.from_json(read_text(path), space.length)
    if len(tokenizer) != space.vocabulary:
        raise ValueError(f"{name} has {len(tokenizer)} words, data.safetensors {space.vocabulary}")
    return tokenizer


def _open_following(
    tensors: dict[str, Tensor], parts: Mapping[PartName, Text], space: TextSpace
) -> dict[PartName, Following]:
    following: dict[PartName, Following] = {}
    for name, part in parts.items():
        kept = under_prefix(f"following.{name}", tensors)
        if not kept:
            continue
        rows, text = kept["of"].long(), Text.from_tensors(kept)
        if (
            rows.shape != text.lengths.shape
            or bool((rows.diff() <= 0).any())
            or (len(rows) and not 0 <= int(rows[0]) <= int(rows[-1]) < len(part))
        ):
            raise ValueError(f"what follows the {name} texts of data.safetensors is not theirs")
        if len(rows):
            check_texts(
                f"{name} following", text, replace(space, source=None, shares_vocabulary=False), 0
            )
        following[name] = Following(rows, replace(text, condition=part.condition[rows]))
    return following


def _open_conversations(
    tensors: dict[str, Tensor], parts: Mapping[PartName, Text]
) -> dict[PartName, Tensor]:
    kept = under_prefix("conversations", tensors)
    for name, part in parts.items():
        if kept and kept.get(name, torch.empty(0)).shape != part.lengths.shape:
            raise ValueError(
                f"conversations of the {name} texts of data.safetensors are not theirs"
            )
    return {name: kept[name].long() for name in parts if kept}


def _open_oracle(identity: Identity, space: TextSpace) -> LSTMGenerator:
    identity.check_file(ORACLE)
    path = identity.folder / ORACLE
    weights, shape = load_tensors(path)
    oracle = new_oracle(space, **shape)
    restore_module(oracle, weights, path)
    return oracle.requires_grad_(False)


def check_texts(name: str, text: Text, space: TextSpace, labels: int) -> None:
    """Raise ValueError unless these can be texts of this space."""
    n, shape, sizes = len(text.lengths), tuple(text.tokens.shape), text.lengths
    fits = n > 0 and sizes.shape == (n,) and shape == (n, space.length)
    fits = fits and int(text.tokens.min()) >= 0 and int(text.tokens.max()) < space.vocabulary
    fits = fits and int(sizes.min()) >= 1 and int(sizes.max()) <= space.length
    if labels:
        of = text.labels
        fits = fits and of is not None and of.shape == (n,)
        fits = fits and of is not None and int(of.min()) >= 0 and int(of.max()) < labels
    fits = fits and (text.source is None) == (space.source is None)
    if not fits or (text.source is not None and len(text.source) != n):
        raise ValueError(f"the {name} texts of data.safetensors, {shape}, are no texts of {space}")
    if text.source is not None and space.source is not None:
        check_texts(f"{name} source", text.source, space.source, 0)


def make_corpus(config: RunConfig, quiet: bool = True) -> tuple[Corpus, LSTMGenerator | None]:
    """Make the corpus of a config, and the oracle that wrote it, if one did."""
    data, settings = config.data, config.oracle
    if data.path:
        return read_corpus(data, quiet), None
    data.refuse_contradictions()
    if settings.parameters and settings.source_length:
        raise UserError(
            f"oracle.source_length = {settings.source_length}: published parameters "
            f"(oracle.parameters = {settings.parameters!r}) read no source; leave one of them out"
        )
    if settings.parameters:
        oracle = load_oracle(Path(settings.parameters), settings.length)
        source = Path(settings.parameters).name
    else:
        sources = None
        if settings.source_length:
            sources = TextSpace(settings.source_vocabulary, settings.source_length)
        sizes = (
            settings.vocabulary, settings.length, settings.embedding, settings.hidden,
            settings.seed, sources,
        )  # fmt: skip
        _check_size("oracle", lambda: make_oracle(*sizes), torch.device("cpu"), copies=1)
        oracle = make_oracle(*sizes)
        source = f"LSTM with N(0, 1) parameters, seed {settings.seed}"
    facts: dict[str, Any] = {"source": source, "vocabulary": oracle.space.vocabulary}
    facts["length"] = settings.length
    corpus = oracle_corpus(oracle, settings.positives, settings.held_out, settings.seed, facts)
    entropy = nll_per_token(oracle, corpus.test, resamplings=1000, seed=settings.seed)
    corpus.facts["oracle_entropy"] = entropy.value
    corpus.facts["oracle_entropy_interval"] = [entropy.low, entropy.high]
    if settings.source_length:
        corpus.facts["source_vocabulary"] = settings.source_vocabulary
        corpus.facts["source_length"] = settings.source_length
        exchanged = nll_per_token(oracle, exchange_sources(corpus.test))
        corpus.facts["oracle_exchanged"] = exchanged.value
    return corpus, oracle


def _check_sizes(config: RunConfig, space: TextSpace, device: torch.device) -> None:
    """UserError for networks that cannot fit into memory, before any of them is made."""
    objective = registry.find("objective", config.objective.name, code=Typed())
    for kind, part in {
        "generator": config.generator,
        objective.discriminator_kind: config.discriminator,
    }.items():
        # a part of one's own may not know how to be made without memory
        if part.name and own_file(part.name) is None:
            _check_size(
                f"{kind} {part.name}",
                partial(registry.maker(kind, part.name, part.settings, checked=True), space),
                device,
            )


def _check_size(
    called: str, build: Callable[[], object], device: torch.device, copies: int = 4
) -> None:
    """UserError for a network of more weights than fit into memory, each in so many copies: with
    its gradient and Adam's two averages."""
    memory = memory_of(device) or 2**50
    try:
        count_weights(build, memory // (4 * copies))
    except TooLarge as error:
        held = ", a gradient and two averages of each" if copies > 1 else ""
        raise UserError(
            f"{called}: {error}; there are {in_units(memory)} of memory for the weights{held}; "
            "choose smaller sizes or fewer layers"
        ) from None


def _refuse_used(out: Path) -> None:
    """UserError for a folder with anything in it but what a killed start left, or for a file."""
    if not exists(out) or (is_folder(out) and (not any(out.iterdir()) or _begun(out))):
        return
    remedy = f"choose another {option('out')}"
    if (out / CONFIG).is_file():
        remedy = f"go on with it (textgan resume {out}) or {remedy}"
    raise UserError(f"out = {str(out)!r} is in use; {remedy}")


def _begun(out: Path) -> bool:
    """Return whether a folder holds nothing but what `create_run` writes before a folder is a
    run."""
    names = {path.name for path in out.iterdir() if not is_partial(path)}
    return LOCK in names and names <= {LOCK, DATA, WORDS, SOURCE_WORDS, ORACLE, INIT, FACTS, COPIES}


def _forget_begun(out: Path) -> None:
    """Remove what a killed start left; another command may want other files."""
    for path in out.iterdir():
        if path.name == COPIES:
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def check_batches(config: RunConfig, sentences: int) -> None:
    """Raise UserError for batches that a corpus of so many training sentences does not fill, or
    that cannot be divided."""
    schedule = config.schedule
    usual = registry.find("objective", config.objective.name, code=Typed()).defaults
    for key in ("batch_size", "discriminator_batch"):
        size, least = getattr(schedule, key), 2 * schedule.shards
        if size == 1:
            raise UserError(f"schedule.{key} = 1: half of a batch is fake; choose 2 or more")
        texts = size if key == "batch_size" else size // 2  # real ones
        if texts > max(ANY_CORPUS, sentences):
            own = usual.get(f"schedule.{key}") == size
            raise UserError(
                f"schedule.{key} = {size}{f', as {config.objective.name} prefers,' * own} reads "
                f"{texts} of {sentences} training sentences at once; choose a smaller one, such as "
                f"schedule.{key}={ANY_CORPUS}"
            )
        if schedule.shards > 1 and size % least:
            raise UserError(
                f"schedule.{key} = {size} cannot be divided into schedule.shards = "
                f"{schedule.shards} equal parts, half real, half fake; choose a multiple of {least}"
            )


def _check_parts(run: Run) -> None:
    """Build everything once on the processor and do one dry step, so that what does not fit is
    refused early."""
    here = torch.device("cpu")
    cpu = replace(run, corpus=run.corpus.to(here), oracle=None, device=here)
    with undisturbed():
        with making(f"the generator {run.config.generator.name}"):
            generator = cpu.build_generator()
        with making(f"the discriminator {run.config.discriminator.name}"):
            discriminator = cpu.build_discriminator()
    with making(f"the objective {run.config.objective.name}"):
        objective = run.build_objective()
    check_objective(objective)
    try:
        with contained(name_of(objective, "connect")):
            objective.connect(generator, discriminator, cpu.corpus.train)
    except ValueError as error:
        raise UserError(f"objective {run.config.objective.name}: {error}") from None
    networks = {"mle": generator, "discriminator": discriminator}
    perturbations = run.perturbations()
    for who, perturbation in perturbations.items():
        network = networks[who]
        assert network is not None  # the config refuses to perturb what there is not
        perturbation.check(network)
    schedule, sentences = run.config.schedule, len(run.corpus.train)
    if next(plan(schedule, sentences, discriminator is not None), None) is None:
        raise UserError("schedule: mle_epochs and rounds are 0, so there is nothing to train")
    verdicts = objective.score_is_logit and isinstance(discriminator, Discriminator)
    for key in ("discriminator_until", "discriminator_patience"):
        value = getattr(schedule, key)
        if value and discriminator is not None and not verdicts:
            raise UserError(
                f"schedule.{key} = {value:g}: the scores that {run.config.objective.name} learns "
                "from have no accuracy; set it to 0"
            )
    fewest = min(schedule.discriminator_texts // 2, schedule.batch_size) // schedule.shards
    if discriminator is not None and fewest < objective.least:
        key = "discriminator_batch" if schedule.discriminator_batch else "batch_size"
        raise UserError(
            f"schedule.{key} = {schedule.discriminator_texts}: {run.config.objective.name} "
            f"compares {objective.least} real texts or more in every shard; "
            f"choose {2 * objective.least * schedule.shards} or more"
        )
    for key in ("mle_epochs", "mle_steps"):
        value = getattr(schedule, key)
        if value and not isinstance(generator, AutoregressiveGenerator):
            name = run.config.generator.name
            raise UserError(
                f"schedule.{key} = {value}: {name} has no likelihood to maximise; set it to 0"
            )
    dry_run(objective, generator, discriminator, cpu.corpus.train, schedule, perturbations)


def _make_folder(config: RunConfig, corpus: Corpus) -> Path:
    objective = config.objective.name.rpartition(":")[2].lower()
    number = 1
    while True:
        folder = Path("runs") / f"{objective}-{corpus.name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(f"out = {str(folder)!r} cannot be made: {error.strerror}") from None
        else:
            return folder


class _Init(NamedTuple):
    """The generator that a run starts from: its weights, their facts, and what run.json says."""

    weights: dict[str, Tensor]
    facts: dict[str, Any]
    about: dict[str, Any]


def _read_init(config: RunConfig, corpus: Corpus) -> _Init | None:
    """Read the generator of the run that a config starts from, at its best MLE epoch.

    Raises UserError where that run has none, or other texts, words or another generator.
    """
    if not config.init:
        return None
    of, key = open_run(config.init, "cpu"), f"init = {config.init!r}"
    if not exists(of.folder / MLE):
        raise UserError(f"{key} has no MLE weights ({MLE} is missing); train it by MLE first")
    if config.generator != of.config.generator:
        ours, theirs = (flatten(one.generator.model_dump()) for one in (config, of.config))
        name = next(name for name in ours | theirs if ours.get(name) != theirs.get(name))
        raise UserError(
            f"{key} has generator.{name} = {theirs.get(name)!r}, not {ours.get(name)!r}; "
            "leave it out to have that run's"
        )
    other = (
        corpus.space != of.corpus.space
        or corpus.tokenizer != of.corpus.tokenizer
        or corpus.source_tokenizer != of.corpus.source_tokenizer
        or any(
            _digest_of(getattr(corpus, part)) != _digest_of(getattr(of.corpus, part))
            for part in ("train", "valid", "test")
        )
    )
    if other:
        raise UserError(
            f"{key} was trained on other texts or words ({of.corpus.facts['source']}); "
            "leave data.* out to have that run's"
        )
    tensors, facts = of.load_mle()
    facts = {"epochs": of.config.schedule.mle_epochs} | facts
    facts = {name: facts[name] for name in ("epoch", "epochs", "score")}
    recipe = hashlib.sha256(of.recipe.encode()).hexdigest()
    about = {"run": of.digest, "recipe": recipe} | facts
    weights = with_prefix("generator", under_prefix("generator", tensors))
    return _Init(weights, facts, about)


def _digest_of(text: Text) -> str:
    return digest({name: part.cpu() for name, part in text.to_tensors().items()})


def _write_corpus(folder: Path, corpus: Corpus, oracle: LSTMGenerator | None) -> list[str]:
    """Write data, and words or oracle; the names of the files."""
    names = [DATA]
    parts = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
    tensors: dict[str, Tensor] = {}
    for name, text in parts.items():
        tensors |= with_prefix(name, {key: part.int() for key, part in text.to_tensors().items()})
    for part, following in corpus.following.items():
        alone = replace(following.text, condition=UNCONDITIONAL).to_tensors()
        kept = {key: one.int() for key, one in (alone | {"of": following.rows}).items()}
        tensors |= with_prefix(f"following.{part}", kept)
    numbers: dict[str, Tensor] = {part: of.int() for part, of in corpus.conversations.items()}
    tensors |= with_prefix("conversations", numbers)
    facts = {
        "name": corpus.name,
        "space": asdict(corpus.space),
        "facts": corpus.facts,
        "label_names": corpus.label_names,
        "listed": True,  # in run.json, with its hash
        "streams": SCHEME,
    }
    save_tensors(folder / DATA, tensors, facts)
    words = {WORDS: corpus.tokenizer if oracle is None else None}
    words[SOURCE_WORDS] = corpus.source_tokenizer
    for name, tokenizer in words.items():
        if tokenizer is not None:
            write_file(folder / name, tokenizer.to_json().encode())
            names.append(name)
    if oracle is not None:
        shape = {
            "embedding": oracle.embedding.embedding_dim,
            "hidden": oracle.rnn.hidden_size,
        }
        save_tensors(folder / ORACLE, oracle.state_dict(), shape)
        names.append(ORACLE)
    return names


def _facts(corpus: Corpus) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if corpus.tokenizer.special:
        about["different_sentences"] = different_sentences(corpus)
        if corpus.space.source is not None:
            about["different"] = different_pairs(corpus)
        about["unknown"] = round(unknown_share(corpus), 4)
        about["warnings"] = corpus_warnings(corpus)
    return {
        "textgan": __version__,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "data": corpus.facts | about,
    }
