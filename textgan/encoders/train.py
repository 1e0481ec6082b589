"""Training an encoder of sentences on a file of text: what `textgan encode` does.

The folder that it leaves holds the encoder at its best (see `encoder_folder`), results.json, and
the curves in metrics.jsonl and TensorBoard. Best is told by lines that it does not learn from, by a
measure that needs no labels but where the method does; what it began with counts, too.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from textgan.core import registry
from textgan.core.checks import SEEDS, path_from, whole_from
from textgan.core.contract import FEW, is_own
from textgan.core.device import choose_device
from textgan.core.errors import Interrupted, UserError
from textgan.core.files import (
    exists,
    is_file,
    is_folder,
    is_partial,
    make_folder,
    read_json,
    system_errors,
    write_file,
)
from textgan.core.locks import LOCK, locked
from textgan.core.log import Layout, Log
from textgan.core.memory import memory_errors
from textgan.core.optim import NotFinite, accumulated, build_optimiser, dropout, plain, update
from textgan.core.own_code import Typed
from textgan.core.precision import without_denormals
from textgan.core.progress import bar
from textgan.core.seeds import fork_rng
from textgan.core.settings import check_settings, explain, unflatten
from textgan.core.streams import Purpose, stream
from textgan.core.tables import Shown, Table
from textgan.core.terminal import stop_signals
from textgan.core.version import __version__
from textgan.data.corpus import spacing_facts
from textgan.data.fit import Spaced
from textgan.data.noise import disturb_lines
from textgan.data.pre_tokenizer import PreTokenizer, Tokens
from textgan.data.settings import TextFile
from textgan.data.splits import Part as Side
from textgan.data.splits import Split, split_file
from textgan.data.tokenizers import (
    HF,
    MASK_WORD,
    Tokenizer,
    WordTokenizer,
    build_tokenizer,
    tokenizer_warnings,
)
from textgan.encoders.contrast.base import Batch, EncoderObjective
from textgan.encoders.contrast.contract import check_contrast
from textgan.encoders.folder import (
    ABOUT,
    MODEL,
    MODULES,
    WEIGHTS,
    SavedEncoder,
    load_encoder,
    save_encoder,
)
from textgan.encoders.similarity import alignment, retrieval, uniformity
from textgan.encoders.templates import MASK, SENTENCE, pieces_of
from textgan.models.discriminators.base import Discriminator
from textgan.models.pretrained import build_network
from textgan.perturb.base import Perturbation, perturbation

USUAL = "transformer"
USUAL_LR = {True: 3e-5, False: 1e-3}  # of pretrained networks, of those from scratch
MEASURED = 2000  # held-out lines that a measure is taken on, at most
NOISE = 0.2  # share of the words that a copy of a line lacks, for the table

UNFINISHED = "unfinished.json"  # in a folder whose encoder is still to come
Step = TypeVar("Step")
FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

CURVES: Layout = {
    "Encoder": {
        "loss": ["Multiline", ["encode/loss$"]],
        "held-out lines": ["Multiline", ["valid/.*"]],
        "norm of the gradient": ["Multiline", ["encode/gradient_norm$"]],
        "learning rate": ["Multiline", ["encode/lr$"]],
    },
}
HEADLINE = {"loss": "loss"}  # beside the progress bar


class Lines(TextFile):
    """How the file is read, and cut into words where the network is from scratch."""

    model_config = FROZEN

    valid: float = Field(0.1, gt=0, lt=1, description="share of the lines that choose the best")
    test: float = Field(0.1, gt=0, lt=1, description="share of the lines that it is measured on")
    split_seed: int = Field(0, ge=0, lt=2**63, description="which lines those are")
    length: int = Field(64, ge=2, le=100_000, description="tokens at which sentences are cut")
    tokens: Tokens = Field("word", description="what a token is")
    spaced: Spaced = Field(
        "auto", description="whether spaces separate characters; auto: as most lines have it"
    )
    vocabulary: int = Field(0, ge=0, description="most words to keep; 0: all")
    min_count: int = Field(2, ge=1, description="rarer words become <unk>")


OF_WORDS = (
    "length",
    "tokens",
    "spaced",
    "vocabulary",
    "min_count",
)  # decided by what a run starts from


class Settings(BaseModel):
    """Everything that decides an encoder but the file, the seed and what it starts from.

    Trained by Adam, whose rate rises from zero in a straight line and falls to it again.
    """

    model_config = FROZEN

    epochs: int = Field(10, ge=1, le=10**6, description="times that it reads the file")
    batch: int = Field(64, ge=2, le=10**6, description="sentences of an update, at most")
    lr: float = Field(0.0, ge=0, le=10, description="largest; 0: 1e-3, 3e-5 if pretrained")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the updates in which it rises")
    clip: float = Field(1.0, ge=0, description="norm of the gradient at most; 0: any")
    every: int = Field(0, ge=0, description="updates between validations; 0: one each epoch")
    perturb: str = Field("", description="a perturbation, such as fgm(epsilon=1.0), or none")
    data: Lines = Lines()
    contrast: dict[str, Any] = Field({}, description="the method's settings, by name")
    network: dict[str, Any] = Field({}, description="the network's settings, by name")


@dataclass(frozen=True, repr=False)
class EncoderResult(Shown):
    """A trained encoder's folder and its table.

    rows: measures of held-out lines, before training and at its best. best: what chose the state,
    and at which update. warnings: what a tokenizer should know.
    """

    folder: Path
    rows: dict[str, dict[str, float]]
    best: dict[str, Any]
    lines: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "textgan": __version__,
            "rows": self.rows,
            "best": self.best,
            "lines": self.lines,
            "warnings": list(self.warnings),
        }

    def shown(self) -> list[Table | str]:
        titles = list(next(iter(self.rows.values())))
        body = [[name, *(f"{row[key]:.3f}" for key in titles)] for name, row in self.rows.items()]
        arrows = {"alignment": " ↓", "uniformity": " ↓", "found first": " ↑"}
        heads = [title + arrows.get(title, "") for title in titles]
        return [
            Table(["", *heads], body),
            f"on {self.lines} held-out lines and copies that lack {NOISE:.0%} of the words",
            *(f"warning: {text}" for text in self.warnings),
            f"next       textgan evaluate TEXTS --references FILE --encoder {self.folder}",
        ]


@system_errors()
def encode(
    method: str = "simcse",
    *,
    data: str | Path,
    out: str | Path,
    network: str | None = None,
    start: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
    **settings: Any,
) -> EncoderResult:
    """Train an encoder as `textgan encode` does, leave it in a new folder, and return its table.

    method: a name, or `path/to/file.py:Class`. data: one sentence, or label, tab, sentence, a line.
    network: a discriminator's name or `hf:FOLDER`; a transformer from scratch where nothing is
    told. start: the folder of another encoder, whose network, words and weights are taken.
    settings: keys as keywords, such as `epochs=3` and `**{"contrast.temperature": 0.1}`.
    Raises UserError for whatever cannot be right, before it writes; Interrupted on Ctrl-C, once the
    best state so far is saved.

    Example:
        >>> textgan.encode("simcse", data="train.txt", out="encoders/mine", epochs=3)
    """
    told = make_settings(settings)
    seed = whole_from("seed", seed, SEEDS)
    data = path_from("data", data, "a file of sentences")
    folder, chosen = path_from("out", out, "a new folder"), choose_device(device)
    command = {
        "method": method,
        "data": str(data),
        "network": network,
        "start": None if start is None else str(start),
        "seed": seed,
        "settings": told.model_dump(mode="json"),
    }
    _refuse_used(folder, command)
    with without_denormals(), fork_rng(stream(Purpose.ENCODER, seed), chosen):
        with memory_errors("a smaller data.vocabulary or network"):
            job = prepare(method, data, network, start, told, seed, chosen, quiet)
        with memory_errors("a smaller batch or data.length"):
            return job.run(folder, command)


def _refuse_used(folder: Path, command: Mapping[str, Any]) -> None:
    """UserError for a folder that holds anything but what the same command, killed, left there."""
    if not exists(folder):
        return
    path = folder / UNFINISHED
    if is_folder(folder):
        if is_file(path) and read_json(path) == json.loads(json.dumps(command)):
            return
        if all(other.suffix == ".lock" or is_partial(other) for other in folder.iterdir()):
            return
    remedy = "choose another --out"
    if is_file(path):
        remedy = f"another command did not finish there ({path.name} has it); " + remedy
    raise UserError(f"out = {str(folder)!r} is in use; {remedy}")


def make_settings(told: Mapping[str, Any]) -> Settings:
    """Settings by dotted key, the others at their defaults; UserError names the key that is
    wrong."""
    values = unflatten(told)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]["loc"]
        inside = first[0] == "data" and len(first) > 1
        known = Lines.model_fields if inside else Settings.model_fields
        raise UserError(explain(error, known=known)) from None


def pieces(n: int, batch: int) -> Sequence[Tensor]:
    """The numbers 0 .. n - 1 in parts of nearly equal sizes, at most `batch`, but none alone: a
    batch of one contrasts nothing."""
    return torch.arange(n).tensor_split(max(1, min(math.ceil(n / batch), n // 2)))


def rate_at(update: int, updates: int, warmup: float) -> float:
    """The share of the largest rate at an update, counted from 0: it rises in a straight line for
    that share of them, then falls to nothing."""
    rise = round(warmup * updates)
    if update < rise:
        return (update + 1) / rise
    return (updates - update) / (updates - rise)


@dataclass(frozen=True)
class InitialNetwork:
    """The network that is trained, and what tells which it is.

    name, settings: what `build_network` was told. encoder: whose weights it has, if any.
    """

    network: Discriminator
    tokenizer: Tokenizer
    name: str
    settings: dict[str, Any]
    encoder: str = ""


@dataclass(frozen=True)
class Part:
    """One side of the split: its lines, and the same as batches have them."""

    lines: list[str]
    batch: Batch

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, rows: Tensor) -> Batch:
        labels = self.batch.labels
        ids = [self.batch.ids[row] for row in rows.tolist()]
        return Batch(ids, None if labels is None else labels[rows])


@dataclass
class EncoderTrainer:
    """An encoder on its way: what it learns from, and its best state so far.

    settings: the method's. facts: the data's. warnings: of the data. best: what chose
    the state, and after which update.
    """

    name: str
    method: EncoderObjective
    settings: dict[str, Any]
    begun: InitialNetwork
    told: Settings
    perturbation: Perturbation | None
    facts: dict[str, Any]
    train: Part
    valid: Part
    test: Part
    seed: int
    quiet: bool
    warnings: tuple[str, ...] = ()
    best: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def updates(self) -> int:
        """That training takes."""
        each = len(pieces(len(self.train), self.told.batch))
        return self.told.epochs * each

    def run(self, folder: Path, command: Mapping[str, Any]) -> EncoderResult:
        """Train, and write the folder; see `encode`. command: what was asked for, which the folder
        says until everything is in it, so that the same command may begin again."""
        before = self._measure()
        # before anything is written: whenever training stops, there is a best state
        try:
            self._keep(0)
        except NotFinite as error:
            raise NotFinite(f"{error} before training; try other contrast.* settings") from None
        make_folder(folder, f"out = {str(folder)!r}")
        with locked(folder), stop_signals():
            _refuse_used(folder, command)  # somebody may have been faster
            made = self._run(folder, command, before)
            (folder / UNFINISHED).unlink()
        with suppress(OSError):  # the folder is an encoder's now, and in use for all others
            (folder / LOCK).unlink()
        return made

    def _run(
        self, folder: Path, command: Mapping[str, Any], before: dict[str, float]
    ) -> EncoderResult:
        content = json.dumps(command, indent=1, ensure_ascii=False) + "\n"
        write_file(folder / UNFINISHED, content.encode("utf-8", "surrogatepass"))
        for old in [folder / "metrics.jsonl", *folder.glob("events.out.tfevents.*")]:
            old.unlink(missing_ok=True)
        stopped: Exception | None = None
        with closing(Log(folder, 0, self.quiet, CURVES, HEADLINE)) as log:
            try:
                self._introduce(log)
                self._train(log)
            except KeyboardInterrupt:
                stopped = Interrupted(f"stopped; {self._kept(folder)}")
            except NotFinite as error:
                remedy = "try a smaller lr"
                stopped = NotFinite(f"{error}; {self._kept(folder)}; {remedy}")
            log.end_phase()
            self.begun.network.load_state_dict(self.weights)
            self._save(folder)
            if stopped:
                raise stopped
            return self._finish(folder, before, log)

    def _train(self, log: Log) -> None:
        """All updates, with a validation now and then."""
        told, method, updates = self.told, self.method, self.updates
        lr = told.lr or USUAL_LR[self.begun.name.startswith(HF)]
        optimiser = build_optimiser(method, lr)
        log.plan({None: updates})
        log.phase(self.name, updates, 0)
        sums: Counter[str] = Counter()
        since = ticks = 0
        for done, batch in enumerate(self._batches()):
            optimiser.param_groups[0]["lr"] = lr * rate_at(done, updates, told.warmup)
            loss = partial(method.accumulate, batch, self.perturbation or plain)
            for _ in range(self.perturbation.replays if self.perturbation else 1):
                figures = update(method, optimiser, loss, accumulated, told.clip)
            sums.update({name: float(value) for name, value in figures.items()})
            since += 1
            log.advance(self.name, figures)
            if done + 1 < updates and since < (told.every or updates // told.epochs):
                continue
            ticks += 1
            shown = {f"encode/{name}": total / since for name, total in sums.items()}
            shown["encode/lr"] = optimiser.param_groups[0]["lr"]
            shown[f"valid/{method.measure}"] = self._keep(done + 1)
            where = {"phase": "encode", "number": ticks - 1, "tick": ticks, "step": done + 1}
            line = ", ".join(f"{name} {value:.3g}" for name, value in shown.items())
            log.tick(where, shown, f"update {done + 1} of {updates}: {line}")
            sums.clear()
            since = 0

    def _batches(self) -> Iterator[Batch]:
        for _ in range(self.told.epochs):
            order = torch.randperm(len(self.train))
            for rows in pieces(len(order), self.told.batch):
                yield self.train[order[rows]]

    def _keep(self, done: int) -> float:
        """The measure of the validation lines; the state is kept if it is the best so far.

        Raises NotFinite where the measure is not a number.
        """
        found = self._held_out(self.valid)
        if not math.isfinite(found):
            raise NotFinite(f"{self.method.measure} of held-out lines is {found}")
        before = self.best.get("value")
        if before is None or (found > before if self.method.rises else found < before):
            self.best = {"measure": self.method.measure, "value": found, "update": done}
            state = self.begun.network.state_dict()
            self.weights = {name: tensor.detach().clone() for name, tensor in state.items()}
        return found

    def _held_out(self, part: Part) -> float:
        """The method's measure of a part, the same for the same weights."""
        device = self.begun.network.output.weight.device
        total = 0.0
        with fork_rng(stream(Purpose.ENCODER_HELD_OUT, self.seed), device):
            for rows in pieces(len(part), self.told.batch):
                total += float(self.method.held_out(part[rows])) * len(rows)
        return total / len(part)

    def _measure(self) -> dict[str, float]:
        """The numbers of the network as it is, on the test lines."""
        begun, facts = self.begun, dict(self.method.pooling)
        encoder = SavedEncoder(
            self.name, begun.network, begun.tokenizer, facts, begun.name, begun.settings
        )
        tokens = self.told.data.tokens
        if isinstance(begun.tokenizer, WordTokenizer):  # of another encoder, perhaps
            tokens = "char" if begun.tokenizer.kind == "char" else "word"
        copies = disturb_lines(self.test.lines, NOISE, "drop", (), self.seed, tokens=tokens)
        clean, noisy = (
            encoder.encode_lines(lines, self._progress) for lines in (self.test.lines, copies)
        )
        training(self.method)
        if not bool(clean.isfinite().all() and noisy.isfinite().all()):
            raise UserError(f"network = {self.begun.name!r}: some of its vectors are not finite")
        return {
            "alignment": alignment(clean, noisy),
            "uniformity": uniformity(clean),
            "found first": float(retrieval(noisy, clean).first.mean()),
            self.method.measure.replace("_", " "): self._held_out(self.test),
        }

    def _introduce(self, log: Log) -> None:
        device = self.begun.network.output.weight.device
        words = f"{self.begun.tokenizer.space.vocabulary} tokens, cut at"
        log.say(
            f"data       {self.facts['source']}: {len(self.train)} train, {len(self.valid)} valid, "
            f"{len(self.test)} test lines; {words} {self.begun.tokenizer.space.length}"
        )
        if self.facts.get("spacing"):
            log.say(f"           {self.facts['spacing']} lines (data.spaced=yes or no)")
        for warning in self.warnings:
            log.say(f"warning: {warning}")
        weights = sum(parameter.numel() for parameter in self.begun.network.parameters())
        begun = f", begun by {self.begun.encoder}" if self.begun.encoder else ""
        log.say(f"network    {self.begun.name}{begun}: {weights:,} weights, on {device}")
        log.say(f"training   {self.name}: {self.updates} updates")

    def _save(self, folder: Path) -> None:
        """The network as it is, which must be the best one."""
        facts = self.method.pooling | {
            "method": self.name,
            "settings": self.settings,
            "training": self._training(),
            "start": self.begun.encoder,
            "seed": self.seed,
            "data": self.facts,
            "best": self.best,
            "textgan": __version__,
        }
        begun = self.begun
        for old in (folder / ABOUT, folder / WEIGHTS):  # of a start that was stopped or killed
            old.unlink(missing_ok=True)
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        save_encoder(folder, begun.name, begun.settings, begun.network, begun.tokenizer, facts)

    def _training(self) -> dict[str, Any]:
        return self.told.model_dump(exclude={"data", "contrast", "network"})

    def _kept(self, folder: Path) -> str:
        best = self.best
        return (
            f"the best state so far (update {best['update']} of {self.updates}, {best['measure']} "
            f"{best['value']:.3f}) is in {folder}"
        )

    def _finish(self, folder: Path, before: dict[str, float], log: Log) -> EncoderResult:
        """The table, in results.json and TensorBoard, too."""
        warnings = self.warnings
        if self.best["update"] == 0:
            warnings += (
                f"training made {self.best['measure']} of held-out lines no better, so the encoder "
                "is what it began as; try another lr",
            )
        name = f"best, update {self.best['update']} of {self.updates}"
        rows = {"before training": before, name: self._measure()}
        results = EncoderResult(folder, rows, self.best, len(self.test), warnings)
        content = json.dumps(results.to_dict(), indent=2, allow_nan=False) + "\n"
        write_file(folder / "results.json", content.encode())
        told = self._training() | {f"contrast.{key}": value for key, value in self.settings.items()}
        told |= {"method": self.name, "network": self.begun.name, "seed": self.seed}
        log.hyperparameters(
            told, {f"result/{key.replace(' ', '_')}": value for key, value in rows[name].items()}
        )
        return results

    def _progress(self, steps: Iterable[Step], what: str) -> Iterable[Step]:
        return bar(steps, what, self.quiet)


def training(method: nn.Module) -> None:
    """Ready to be trained: cuDNN's recurrent layers have gradients, dropout is off for now."""
    method.train()
    with dropout(method):
        pass


def prepare(
    name: str,
    path: Path,
    network: str | None,
    start: str | Path | None,
    told: Settings,
    seed: int,
    device: torch.device,
    quiet: bool,
) -> EncoderTrainer:
    """Everything that training takes, checked; the arguments are those of `encode`."""
    part = registry.find("contrast", name, "method", Typed())
    settings = check_settings("contrast", part, told.contrast)
    changed = perturbation(told.perturb, code=Typed())
    if changed is not None and part.attacks:
        raise UserError(
            f"perturb = {told.perturb!r}: {name} shifts embeddings itself; leave it out"
        )
    data = told.data
    split = split_file(path, form=data.form, valid=data.valid, test=data.test, seed=data.split_seed)
    if part.labelled and not split.names:
        raise UserError(
            f"data.file = {str(path)!r} has no labels, and {name} learns from them; give lines of "
            "label, tab, sentence in a .tsv file, or data.label_field = NAME of a table"
        )
    classes = len(split.names) if part.labelled else 0
    if start is None:
        begun = _new(part, split, network or USUAL, told, classes, path, name)
    else:
        begun = _begun(Path(start), network, told, classes)
    begun.network.to(device)
    try:
        method: EncoderObjective = part(begun.network, begun.tokenizer, **settings).to(device)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    if part.two_looks and not any(
        module.p > 0 for module in begun.network.modules() if isinstance(module, nn.Dropout)
    ):
        raise UserError(
            f"network = {begun.name!r} has no dropout, by which alone {name} tells two looks at a "
            "sentence apart; give network.dropout = 0.1"
        )
    train, valid, test = (
        _read(side, begun.tokenizer, part.labelled, what, quiet)
        for side, what in ((split.train, "train"), (split.valid, "valid"), (split.test, "test"))
    )
    warnings = (
        *tokenizer_warnings(begun.tokenizer, split.train.lines),
        *_left_out(begun.name, method),
    )
    remedy = warnings[0] if warnings else "give more text, or a larger data.valid and data.test"
    for what, side in (("train", train), ("valid", valid), ("test", test)):
        if len(side) < 2:
            raise UserError(
                f"data.file = {str(path)!r} leaves {len(side)} different sentence for {what}, and "
                f"a contrast takes two; {remedy}"
            )
    facts = split.facts | {"different": [len(train), len(valid), len(test)]}
    if isinstance(begun.tokenizer, WordTokenizer) and start is None:
        facts |= spacing_facts(split.train.lines, data.tokens, data.spaced)
    valid, test = (_some(side, seed) for side in (valid, test))
    training(method)
    if is_own(method):
        few = torch.arange(min(len(train), told.batch, FEW))
        check_contrast(method, train[few])
        training(method)
    return EncoderTrainer(
        name, method, settings, begun, told, changed, facts, train, valid, test, seed, quiet,
        warnings,
    )  # fmt: skip


def _new(
    part: type[EncoderObjective], split: Split, network: str, told: Settings, classes: int,
    path: Path, method: str,
) -> InitialNetwork:  # fmt: skip
    """A network that was not trained here yet."""
    data, lines = told.data, split.train.lines
    if part.prompted and not network.startswith(HF):
        raise UserError(
            f"{method} begins with a masked language model: give --start FOLDER of textgan encode "
            "mlm, or --network hf:FOLDER"
        )
    of_words = data.model_dump(include=set(OF_WORDS))
    if network.startswith(HF):
        _refuse(data, OF_WORDS[1:], f"{network} has a tokenizer of its own")
    if part.templates:
        pre_tokenizer = PreTokenizer.of(lines, data.tokens, data.spaced)
        texts = [text for told in part.templates for text in pieces_of(told)]
        words = [pre_tokenizer(text) for text in texts if text not in (SENTENCE, MASK)]
        of_words["extra"] = (MASK_WORD, *dict.fromkeys(word for some in words for word in some))
    else:
        of_words["extra"] = ()
    try:
        tokenizer = build_tokenizer(network, lines, **of_words)
    except UserError as error:
        if network.startswith(HF):  # which is to blame, not the file
            raise
        raise UserError(f"data.file = {str(path)!r}: {error}") from None
    settings = dict(told.network)
    return InitialNetwork(
        build_network(network, settings, tokenizer, classes), tokenizer, network, settings
    )


def _begun(folder: Path, network: str | None, told: Settings, classes: int) -> InitialNetwork:
    """The network of another encoder; its last layer is new where it tells other classes."""
    found = load_encoder(folder)
    owner, name = f"--start {folder}", found.network_name
    if network not in (None, name):
        raise UserError(f"--network {network} does not fit {owner}, which is {name}; leave it out")
    _refuse(told.data, OF_WORDS, f"{owner} has words of its own")
    if told.network:
        key = next(iter(told.network))
        raise UserError(f"network.{key}: {owner} decides what its network is; leave it out")
    if classes != found.network.space.classes:
        features = found.network.output.in_features
        found.network.space = replace(found.network.space, classes=classes)
        found.network.output = nn.Linear(features, max(1, classes))
    return InitialNetwork(found.network, found.tokenizer, name, found.settings, found.name)


def _left_out(network: str, method: EncoderObjective) -> list[str]:
    """That a folder's own pooling is not what this encoder is trained with."""
    if not network.startswith(HF) or not (Path(network.removeprefix(HF)) / MODULES).is_file():
        return []
    mean = method.pooling.get("pooling", "features") == "features"
    called = "the mean" if mean else f"the state at {MASK}"
    return [f"{network}: its {MODULES} is left out; this encoder takes {called} of the states"]


def _refuse(data: Lines, keys: Sequence[str], why: str) -> None:
    """UserError for a setting that would change nothing."""
    for key in keys:
        if key in data.model_fields_set:
            raise UserError(f"data.{key} = {getattr(data, key)!r}: {why}; leave it out")


def _read(side: Side, tokenizer: Tokenizer, labelled: bool, what: str, quiet: bool) -> Part:
    """A side of the split as lists of tokens. Without labels every list is there once: a sentence
    cannot be told from itself."""
    ids = tokenizer.encode(bar(side.lines, f"reading {what}", quiet))
    if labelled:
        return Part(side.lines, Batch(ids, side.labels))
    first: dict[tuple[int, ...], int] = {}
    for row, some in enumerate(ids):
        first.setdefault(tuple(some), row)
    return Part([side.lines[row] for row in first.values()], Batch(list(first)))


def _some(part: Part, seed: int) -> Part:
    """At most MEASURED lines of a part, in a random order, for it may be sorted by label."""
    random = np.random.default_rng(stream(Purpose.ENCODER_LINES, seed))
    order = random.permutation(len(part))[:MEASURED]
    return Part([part.lines[row] for row in order], part[torch.from_numpy(order)])
