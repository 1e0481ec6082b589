"""A run's folder: everything that is needed to resume, sample, evaluate and share it.

config.json           every setting, defaults included
run.json              versions, machine, command, facts about the data
data.safetensors      the corpus as token ids, split
vocabulary.json       the words, where there are words
oracle.safetensors    the oracle's parameters, where there is an oracle
checkpoints/          the last two states of training
mle.safetensors       the generator at its best MLE epoch
metrics.jsonl         one line a tick; beside it TensorBoard's event files
results.json, curves.png, samples.txt      the end
evaluation.json, evaluation.safetensors, curve.json, report.html      what was measured afterwards
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import filelock
import numpy as np
import torch
from torch import Tensor

import textgan
from textgan import registry
from textgan.checkpoint import (
    checkpoints,
    load_checkpoint,
    load_tensors,
    restore_module,
    save_tensors,
    under_prefix,
    with_prefix,
)
from textgan.config import RunConfig, read_config
from textgan.contracts.dry_run import check_objective, dry_run
from textgan.contracts.rules import undisturbed
from textgan.core.files import (
    is_file,
    is_folder,
    read_bytes,
    read_json,
    read_text,
    understood,
    write_file,
)
from textgan.core.memory import memory_errors as memory_errors
from textgan.corpus import Corpus, Vocabulary, read_corpus
from textgan.data.checks import corpus_warnings, different_sentences, unknown_share
from textgan.discriminators.base import Discriminator
from textgan.errors import UserError
from textgan.generators.base import AutoregressiveGenerator, Generator
from textgan.generators.recurrent import LSTMGenerator
from textgan.intervals import Estimate
from textgan.likelihoods import nll_per_token
from textgan.objectives.base import Objective
from textgan.oracle import load_oracle, make_oracle, oracle_corpus
from textgan.precision import supported
from textgan.schedule import plan
from textgan.text import Text, TextSpace

CONFIG = "config.json"
LOCK = "run.lock"
Weights = Literal["final", "mle"]


@dataclass(frozen=True)
class Run:
    """A run's folder, opened: what does not change while it trains."""

    folder: Path
    config: RunConfig
    corpus: Corpus
    oracle: LSTMGenerator | None
    device: torch.device

    @property
    def digest(self) -> str:
        """Of all that decides the run's course: its settings and its corpus."""
        # as the file has it, so that settings which later versions add change nothing
        settings = read_json(self.folder / CONFIG)
        for decides_nothing in ("device", "checkpoint_seconds"):
            settings.pop(decides_nothing, None)
        sha = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        sha.update(read_bytes(self.folder / "data.safetensors"))
        return sha.hexdigest()

    @property
    def method(self) -> str:
        """The objective's name, without the file that it may be in."""
        return self.config.objective.name.rpartition(":")[2]

    @property
    def recipe(self) -> str:
        """All settings but the seed and what decides nothing: runs that share it are seeds of one
        experiment."""
        decides_nothing = {"seed", "device", "checkpoint_seconds"}
        return json.dumps(self.config.model_dump(exclude=decides_nothing), sort_keys=True)

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
        """The run's generator as the seed makes it, untrained."""
        part = self.config.generator
        built = registry.build("generator", part.name, part.settings, self.corpus.space)
        assert isinstance(built, Generator)
        return built.to(self.device)

    def build_discriminator(self) -> Any:
        """The run's discriminator, untrained: a Discriminator, or a language model where that is
        what the method wants; None where the method has none."""
        part = self.config.discriminator
        if not part.name:
            return None
        kind = registry.find("objective", self.config.objective.name).discriminator_kind
        built = registry.build(kind, part.name, part.settings, self.corpus.space)
        assert isinstance(built, Discriminator | AutoregressiveGenerator)
        return built.to(self.device)

    def build_objective(self) -> Objective:
        """The run's method, not yet connected."""
        part = self.config.objective
        built = registry.build("objective", part.name, part.settings)
        assert isinstance(built, Objective)
        return built

    def load_generator(self, weights: Weights = "final") -> Generator:
        """The trained generator: as the last checkpoint has it, or at its best MLE epoch.

        Raises UserError when the run has not come so far.
        """
        if weights == "mle":
            path = self.folder / "mle.safetensors"
            if not path.is_file():
                raise UserError(f"{self.folder} has no MLE weights (yet): {path.name} is missing")
            tensors, _ = load_tensors(path)
        else:
            saved = checkpoints(self.folder)
            if not saved:
                raise UserError(
                    f"{self.folder} has no checkpoint yet: textgan resume {self.folder}"
                )
            path = saved[-1]
            tensors, _ = load_checkpoint(path)
        generator, discriminator = self.build_generator(), self.build_discriminator()
        # first of all: a generator that reads what its discriminator leaks is as wide as that
        self.build_objective().connect(generator, discriminator, self.corpus.train)
        restore_module(generator, under_prefix("generator", tensors), path)
        if discriminator is not None:
            restore_module(discriminator, under_prefix("discriminator", tensors), path)
            discriminator.eval()
        return generator.eval()


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the GPU where there is one.

    Raises UserError for a device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and not name.startswith("cuda"):
        raise UserError(f"device = {name!r} is unknown; use auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"device = {name!r} is not to be had here ({first}); use auto or cpu"
        ) from None
    return device


def create_run(config: RunConfig, out: Path | None) -> Run:
    """A new run in a new folder; nothing is written unless everything about it is sound.

    out: the folder, which must be new or empty; None chooses `runs/<objective>-<data>-<number>`.
    Raises UserError.
    """
    with _writing(out):
        if out is not None:
            _refuse_used(out)
    device = choose_device(config.device)
    supported(config.precision, device)
    with memory_errors("a smaller vocabulary, length or network"):
        corpus, oracle = _make_corpus(config)
        _check_parts(Run(Path(), config, corpus, oracle, device))
    with _writing(out):
        folder = _make_folder(config, corpus) if out is None else out
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            _refuse_used(folder)  # somebody may have been faster
            _write_corpus(folder, corpus, oracle)
            write_file(folder / "run.json", _facts(corpus).encode())
            # last, for its presence is what makes the folder a run
            write_file(folder / CONFIG, config.to_json().encode())
    return open_run(folder)


@contextmanager
def _writing(out: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"out = {str(out)!r} cannot be written: {error.strerror}") from None


def open_run(folder: Path, device: str | None = None) -> Run:
    """The run in a folder; `device` overrides the one it was made for.

    Raises UserError for a folder that is not a run, or a damaged one.
    """
    folder = Path(folder)
    if not is_file(folder / CONFIG):
        what = "is not a run (it has no config.json)" if is_folder(folder) else "does not exist"
        raise UserError(f"{str(folder)!r} {what}; a run is a folder made by textgan train")
    config = read_config(folder / CONFIG)
    chosen = choose_device(device or config.device)
    with understood(folder):
        return _open(folder, config, chosen)


def _open(folder: Path, config: RunConfig, chosen: torch.device) -> Run:
    tensors, facts = load_tensors(folder / "data.safetensors")
    parts = {
        name: Text(
            tensors[f"{name}.tokens"].long(),
            tensors[f"{name}.sizes"].long(),
            labels=tensors[f"{name}.labels"].long() if f"{name}.labels" in tensors else None,
        )
        for name in ("train", "valid", "test")
    }
    words = folder / "vocabulary.json"
    with understood(words):
        vocabulary = Vocabulary.from_json(read_text(words)) if config.data.file else None
    space = TextSpace(**facts["space"])
    names = tuple(facts.get("label_names", ()))
    if vocabulary is not None and len(vocabulary) != space.vocabulary:
        raise ValueError(
            f"{words.name} has {len(vocabulary)} words, data.safetensors {space.vocabulary}"
        )
    for name, part in parts.items():
        _check_texts(name, part, space, len(names))
    corpus = Corpus(
        facts["name"], space, parts["train"], parts["valid"], parts["test"], vocabulary,
        facts["facts"], names,
    )  # fmt: skip
    oracle = None
    path = folder / "oracle.safetensors"
    if not config.data.file:
        weights, shape = load_tensors(path)
        oracle = LSTMGenerator(space, **shape)
        restore_module(oracle, weights, path)
        oracle = oracle.requires_grad_(False).to(chosen)
    return Run(folder, config, corpus.to(chosen), oracle, chosen)


def _check_texts(name: str, text: Text, space: TextSpace, labels: int) -> None:
    """ValueError unless these can be texts of this space."""
    n, shape, sizes = len(text.sizes), tuple(text.tokens.shape), text.sizes
    fits = n > 0 and sizes.shape == (n,) and shape == (n, space.length)
    fits = fits and int(text.tokens.min()) >= 0 and int(text.tokens.max()) < space.vocabulary
    fits = fits and int(sizes.min()) >= 1 and int(sizes.max()) <= space.length
    if labels:
        told = text.labels
        fits = fits and told is not None and told.shape == (n,)
        fits = fits and told is not None and int(told.min()) >= 0 and int(told.max()) < labels
    if not fits:
        raise ValueError(f"the {name} texts of data.safetensors, {shape}, are no texts of {space}")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else trains this run meanwhile; UserError if somebody does."""
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{folder} is being trained by another process; wait for it") from None
    try:
        yield
    finally:
        lock.release()


def _make_corpus(config: RunConfig) -> tuple[Corpus, LSTMGenerator | None]:
    data, told = config.data, config.oracle
    if data.file:
        corpus = read_corpus(
            Path(data.file),
            tokens=data.tokens,
            vocabulary=data.vocabulary,
            min_count=data.min_count,
            length=data.length,
            valid=data.valid,
            test=data.test,
            seed=data.split_seed,
            form=data.form,
            spaced=data.spaced,
        )
        return corpus, None
    if told.parameters:
        oracle = load_oracle(Path(told.parameters), told.length)
        source = Path(told.parameters).name
    else:
        oracle = make_oracle(told.vocabulary, told.length, told.embedding, told.hidden, told.seed)
        source = f"LSTM with N(0, 1) parameters, seed {told.seed}"
    facts: dict[str, Any] = {"source": source, "vocabulary": oracle.space.vocabulary}
    facts["length"] = told.length
    corpus = oracle_corpus(oracle, told.positives, told.held_out, told.seed + 1, facts)
    entropy = nll_per_token(oracle, corpus.test, resamplings=1000)
    corpus.facts["oracle_entropy"] = entropy.value
    corpus.facts["oracle_entropy_interval"] = [entropy.low, entropy.high]
    return corpus, oracle


def _refuse_used(out: Path) -> None:
    """UserError for a folder with anything in it (but a lock), or for a file."""
    if not out.exists() or (out.is_dir() and all(p.name == LOCK for p in out.iterdir())):
        return
    remedy = "choose another --out"
    if (out / CONFIG).is_file():
        remedy = f"go on with it (textgan resume {out}) or {remedy}"
    raise UserError(f"out = {str(out)!r} is in use; {remedy}")


def _check_parts(run: Run) -> None:
    """Build everything once on the processor and do one dry step, so that what does not fit is
    refused early."""
    here = torch.device("cpu")
    cpu = Run(run.folder, run.config, run.corpus.to(here), None, here)
    with undisturbed():
        generator, discriminator = cpu.build_generator(), cpu.build_discriminator()
    objective = run.build_objective()
    check_objective(objective)
    try:
        objective.connect(generator, discriminator, cpu.corpus.train)
    except ValueError as error:
        raise UserError(f"objective {run.config.objective.name}: {error}") from None
    networks = {"mle": generator, "discriminator": discriminator}
    perturbations = run.config.perturbations()
    for who, perturbation in perturbations.items():
        network = networks[who]
        assert network is not None  # the config refuses to perturb what there is not
        perturbation.check(network)
    schedule, sentences = run.config.schedule, len(run.corpus.train)
    if next(plan(schedule, sentences, discriminator is not None), None) is None:
        raise UserError("schedule: mle_epochs and rounds are 0, so there is nothing to train")
    for key in ("batch_size", "discriminator_batch"):
        size, least = getattr(schedule, key), 2 * schedule.shards
        if size == 1:
            raise UserError(f"schedule.{key} = 1: half of a batch is fake; choose 2 or more")
        texts = size if key == "batch_size" else size // 2  # real ones
        if texts > max(64, sentences):
            raise UserError(
                f"schedule.{key} = {size} reads {texts} of {sentences} training sentences at once; "
                "choose a smaller one"
            )
        if schedule.shards > 1 and size % least:
            raise UserError(
                f"schedule.{key} = {size} cannot be divided into schedule.shards = "
                f"{schedule.shards} equal parts, half real, half fake; choose a multiple of {least}"
            )
    fewest = min(schedule.judged // 2, schedule.batch_size) // schedule.shards
    if discriminator is not None and fewest < objective.least:
        key = "discriminator_batch" if schedule.discriminator_batch else "batch_size"
        raise UserError(
            f"schedule.{key} = {schedule.judged}: {run.config.objective.name} compares "
            f"{objective.least} real texts or more in every shard; "
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


def _write_corpus(folder: Path, corpus: Corpus, oracle: LSTMGenerator | None) -> None:
    parts = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
    tensors: dict[str, Tensor] = {}
    for name, text in parts.items():
        part = {"tokens": text.tokens.int(), "sizes": text.sizes.int()}
        if text.labels is not None:
            part["labels"] = text.labels.int()
        tensors |= with_prefix(name, part)
    facts = {
        "name": corpus.name,
        "space": asdict(corpus.space),
        "facts": corpus.facts,
        "label_names": corpus.label_names,
    }
    save_tensors(folder / "data.safetensors", tensors, facts)
    if corpus.vocabulary is not None:
        write_file(folder / "vocabulary.json", corpus.vocabulary.to_json().encode())
    if oracle is not None:
        shape = {
            "embedding": oracle.embedding.embedding_dim,
            "hidden": oracle.rnn.hidden_size,
        }
        save_tensors(folder / "oracle.safetensors", oracle.state_dict(), shape)


def _facts(corpus: Corpus) -> str:
    about: dict[str, Any] = {}
    if corpus.vocabulary is not None:
        about["different_sentences"] = different_sentences(corpus)
        about["unknown"] = round(unknown_share(corpus), 4)
        about["warnings"] = corpus_warnings(corpus)
    facts = {
        "textgan": textgan.__version__,
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
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
