"""Text classifiers trained with perturbations of their vectors: what the methods are worth.

The claims are that a classifier trained through shifted vectors does better on new sentences, and
that it is harder to mislead. So each perturbation trains classifiers from the same weights, on the
same batches, for as many epochs; the epoch that does best on held-out sentences counts; and on the
test sentences they are judged as those are, attacked, and with noise in their words. What differs
between two seeds is chance, so only differences seed by seed tell.
"""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import torch
from pydantic import BaseModel, BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from textgan.classifiers.attack import attack, margins, typical_norm
from textgan.classifiers.results import CLEAN, NONE, Classification, Done, Trained, opened, write
from textgan.core.checks import CLASSIFIERS, path_from, whole_from
from textgan.core.contract import FEW, is_own
from textgan.core.device import choose_device
from textgan.core.errors import Interrupted, UserError
from textgan.core.files import system_errors
from textgan.core.memory import memory_errors
from textgan.core.names import join_names
from textgan.core.optim import (
    Backward,
    Loss,
    NotFinite,
    Outputs,
    build_optimiser,
    dropout,
    plain,
    update,
)
from textgan.core.own_code import Typed
from textgan.core.progress import counting_bar
from textgan.core.seeds import fork_rng
from textgan.core.settings import explain, unflatten
from textgan.core.streams import SCHEME, Purpose, stream
from textgan.core.terminal import stop_signals
from textgan.core.version import __version__
from textgan.data.batches import batches
from textgan.data.fit import Spaced
from textgan.data.noise import Noise, disturb_lines
from textgan.data.pre_tokenizer import Tokens
from textgan.data.settings import TextFile
from textgan.data.splits import Part, Split, split_file
from textgan.data.text import Condition, Text
from textgan.data.tokenizers import HF, Tokenizer, build_tokenizer, tokenizer_warnings
from textgan.encoders.folder import load_encoder, save_encoder
from textgan.models.discriminators.base import Discriminator
from textgan.models.pretrained import build_network
from textgan.perturb.base import Perturbation, perturbation
from textgan.perturb.contract import check_perturbation
from textgan.perturb.shifts import find_embedding

MODELS = "models"  # the folder of those that were kept
ATTACKED_AT_ONCE = 128  # texts

Advance = Callable[[int], object]  # so many steps are done
Value = TypeVar("Value")


def _listed(told: Any) -> Any:
    return told if isinstance(told, list) else [told]


Several = Annotated[list[Value], BeforeValidator(_listed), Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(_Settings, TextFile):
    """How the file is split, and read by a network of one's own words."""

    valid: float = Field(0.1, gt=0, lt=1, description="share of the sentences for validation")
    test: float = Field(0.2, gt=0, lt=1, description="share of the sentences for the test")
    split_seed: int = Field(0, ge=0, le=2**31, description="which sentences those are")
    tokens: Tokens = Field("word", description="what a token is")
    spaced: Spaced = Field(
        "auto", description="whether spaces separate characters; auto: as most lines have it"
    )
    vocabulary: int = Field(0, ge=0, description="most words to keep; 0: all")
    min_count: int = Field(2, ge=1, description="rarer words become <unk>")
    length: int = Field(64, ge=2, le=100_000, description="tokens at which a sentence is cut")


class Attacks(_Settings):
    """How hard the classifiers are attacked; see `textgan.classifiers.attack`."""

    epsilon: Several[Annotated[float, Field(ge=0)]] = Field(
        [0.02, 0.05, 0.1], description="radii: of the length of a sentence's vectors together"
    )
    absolute: bool = Field(False, description="radii are plain numbers instead")
    steps: int = Field(10, ge=1, description="of ascent; 1 with one start: FGM")
    restarts: int = Field(2, ge=1, description="starts: one at FGM's end, the others random")
    stride: float = Field(0.25, gt=0, description="length of a step, in radii")


class Noises(_Settings):
    """How words are disturbed; see `textgan.data.noise`."""

    kind: Several[Noise] = Field(["drop", "swap", "replace", "typo"], description="one or more")
    rate: Several[Share] = Field([0.1], description="shares of the words")
    seed: int = Field(0, ge=0, le=2**31, description="of the noise, the same for all classifiers")


class Settings(_Settings):
    """What a study is told; `network` has the settings of the network."""

    epochs: int = Field(6, ge=1, le=10_000, description="updates replayed on a batch count as one")
    batch: int = Field(32, ge=1, description="sentences an update")
    lr: float = Field(1e-3, gt=0, le=10, description="learning rate of Adam")
    clip: float = Field(5.0, ge=0, description="norm of a gradient at most; 0: any")
    data: Data = Data()
    attack: Attacks = Attacks()
    noise: Noises = Noises()
    network: dict[str, Any] = Field(default_factory=dict, description="its settings, by name")


def _said(settings: Settings) -> dict[str, Any]:
    """All settings, but those of how the file is read that say nothing, so that what later versions
    add changes nothing about a study that was begun."""
    usual = {key: getattr(Data(), key) for key in (*TextFile.model_fields, "spaced")}
    told = settings.model_dump()
    told["data"] = {
        key: value for key, value in told["data"].items() if usual.get(key, ...) != value
    }
    return told


def make_settings(told: Mapping[str, Any]) -> Settings:
    """Settings by dotted key, the others at their defaults.

    Raises UserError that names the key, the value and what would be right.
    """
    values = unflatten(told)
    try:
        return Settings(**values)
    except pydantic.ValidationError as error:
        place = error.errors()[0]["loc"]
        model = type(getattr(Settings(), str(place[0]))) if len(place) > 1 else Settings
        known = model.model_fields if issubclass(model, BaseModel) else ()
        raise UserError(explain(error, known=known)) from None


@dataclass(frozen=True, repr=False)
class Classifier:
    """A trained network that tells lines of text apart.

    names: the labels, in the order of the probabilities.
    """

    network: Discriminator
    tokenizer: Tokenizer
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Classifier({join_names(self.names, 6)}; {type(self.network).__name__})"

    @torch.no_grad()
    def __call__(self, lines: Sequence[str]) -> Tensor:
        """The probability of each label for each line, (N, C) float64."""
        found = torch.zeros(len(lines), len(self.names), dtype=torch.float64)
        text = self.tokenizer(lines)
        for rows, part in _pieces(text, self.network.output.weight.device):
            found[rows] = self.network.class_logits(part).double().softmax(1).cpu()
        return found


def load_classifier(folder: str | Path, device: str = "auto") -> Classifier:
    """A classifier that `textgan classify --keep` left in one of the folders of a study's models.

    Raises UserError where there is none, or a damaged one.

    Example:
        >>> textgan.load_classifier("study/models/fgm-0")(["a sentence ."])
    """
    place = path_from("folder", folder, "the folder of a classifier")
    saved = load_encoder(place, choose_device(device))
    if "labels" not in saved.facts:
        raise UserError(f"{folder} holds an encoder, not a classifier; see textgan classify --keep")
    return Classifier(saved.network, saved.tokenizer, tuple(saved.facts["labels"]))


def split_names(told: str) -> list[str]:
    """The perturbations of a list separated by commas, each once, `none` first."""
    names = [name.strip() for name in re.split(r",(?![^(]*\))", told)]
    return list(dict.fromkeys([NONE, *filter(None, names)]))


@system_errors()
def classify(
    file: str | Path,
    *,
    network: str = "rnn",
    perturb: str | Sequence[str] = "none,fgm",
    seeds: int = 5,
    out: str | Path | None = None,
    keep: bool = False,
    device: str = "auto",
    quiet: bool = False,
    **settings: Any,
) -> Classification:
    """Train and judge classifiers of a labelled file as `textgan classify` does.

    file: lines of label, tab, sentence. network: a discriminator's name, or hf:FOLDER. perturb: see
    `textgan list`; none is always among them. seeds: how many, from 0. out: a folder in which every
    run is kept, so that the same call goes on where it was stopped. keep: the networks, too (see
    `load_classifier`). settings: by dotted key, see `Settings`.
    Raises UserError, and Interrupted on Ctrl-C.

    Example:
        >>> textgan.classify("moods.tsv", perturb="none,fgm,freelb(passes=3)", seeds=5)
    """
    names = split_names(perturb if isinstance(perturb, str) else ",".join(perturb))
    study = Study.open(
        path_from("file", file, "a labelled file"),
        network,
        make_settings(settings),
        choose_device(device),
    )
    study.check(names)
    seeds = whole_from("seeds", seeds, CLASSIFIERS)
    if keep and out is None:
        raise UserError("keep = True needs a folder to keep networks in: give --out FOLDER, too")
    if keep and len({_slug(name) for name in names}) < len(names):
        raise UserError("perturb: the folders of two of these would have the same name; not both")
    folder = None if out is None else Path(out)
    facts = study.facts | {"perturb": names, "seeds": seeds, "keep": keep}
    with ExitStack() as stack:
        stack.enter_context(stop_signals())
        done: Done = {} if folder is None else stack.enter_context(opened(folder, facts))
        there = len(done)
        steps = {name: study.steps(name) for name in names}
        jobs = [(name, seed) for seed in range(seeds) for name in names]
        bar = stack.enter_context(
            counting_bar(
                sum(steps[name] for name, _ in jobs),
                done=sum(steps[name] for name, _ in done),
                unit="step",
                quiet=quiet,
            )
        )
        try:
            for name, seed in jobs:
                if (name, seed) in done:
                    continue
                bar.set_description(f"{name}, seed {seed}")
                run, trained = study.train(name, seed, bar.update)
                done[name, seed] = run
                if folder is not None:
                    if keep:
                        study.keep(folder / MODELS / f"{_slug(name)}-{seed}", trained, name)
                    runs = [asdict(run) for run in done.values()]
                    write(folder, {"facts": facts, "runs": runs})
                    there = len(done)
        except KeyboardInterrupt:
            kept = f"{there} of {len(jobs)} runs are in {folder}: the same command goes on"
            raise Interrupted(
                f"stopped; {kept if folder else 'nothing is kept without --out FOLDER'}"
            ) from None
        made = Classification(facts, tuple(done[job] for job in jobs))
        if folder is not None:
            write(folder, made.to_dict())
    return made


@dataclass(frozen=True)
class Study:
    """What all classifiers of a study have in common."""

    network: str
    settings: Settings
    split: Split
    tokenizer: Tokenizer
    device: torch.device
    train_text: Text
    valid_text: Text
    test_texts: dict[str, Text]  # by the trouble's name, CLEAN first

    @staticmethod
    def open(file: Path, network: str, settings: Settings, device: torch.device) -> Study:
        """Read a labelled file. Raises UserError."""
        told = settings.data
        split = split_file(
            file, form=told.form, valid=told.valid, test=told.test, seed=told.split_seed
        )
        if not split.names:
            raise UserError(
                f"data.file = {str(file)!r} has no labels, which is what a classifier tells; give "
                "lines of label, tab, sentence in a .tsv file, or data.label_field = NAME of a "
                "table"
            )
        own = told.model_dump(include={"tokens", "spaced", "vocabulary", "min_count", "length"})
        if network.startswith(HF):
            given = told.model_fields_set & (own.keys() - {"length"})
            if given:
                raise UserError(
                    f"data.{min(given)}: {network} reads by its own tokenizer; leave it out"
                )
            own = {"length": told.length}
        tokenizer = build_tokenizer(network, split.train.lines, **own)
        words = sorted({word for line in split.train.lines for word in line.split()})
        tokens = told.tokens
        if tokens == "char":
            words = sorted({*"".join(words)})
        noise = settings.noise
        clean = split.test.lines
        tests = {CLEAN: clean}
        for kind in noise.kind:
            for rate in noise.rate:
                noisy = disturb_lines(clean, rate, kind, words, noise.seed, tokens=tokens)
                # a typo needs two letters, which a character has not
                if rate and all(a.split() == b.split() for a, b in zip(clean, noisy, strict=True)):
                    if "kind" in noise.model_fields_set:
                        raise UserError(
                            f"noise.kind = {kind!r}: it changes no line at a rate of {rate:g}; "
                            "leave it out"
                        )
                    continue
                tests[f"{kind} {rate:g}"] = noisy
        assert split.test.labels is not None  # a labelled file
        return Study(
            network,
            settings,
            split,
            tokenizer,
            device,
            _read(tokenizer, split.train),
            _read(tokenizer, split.valid),
            {
                name: replace(tokenizer(lines), condition=Condition(split.test.labels))
                for name, lines in tests.items()
            },
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What decides its numbers."""
        labels = self.test_texts[CLEAN].labels
        assert labels is not None
        warnings = tokenizer_warnings(self.tokenizer, self.split.train.lines)
        return {
            "textgan": __version__,
            "streams": SCHEME,
            "network": self.network,
            "reader": self.tokenizer.name,
            "settings": _said(self.settings),
            "data": self.split.facts,
            "device": self.device.type,
            "commonest": int(labels.bincount().max()) / len(labels),
            "clock": _clock(self.device)[0],
            **({"warnings": warnings} if warnings else {}),
        }

    def build(self) -> Discriminator:
        """A new network."""
        classes = len(self.split.names)
        made = build_network(self.network, self.settings.network, self.tokenizer, classes)
        return made.to(self.device)

    def check(self, names: Sequence[str]) -> None:
        """Refuse what cannot be trained before anything is. Raises UserError."""
        made = [perturbation(name, code=Typed()) for name in names]
        with (
            fork_rng(stream(Purpose.DISCARDED, 0), self.device),
            memory_errors("a smaller network"),
        ):
            network = self.build()
        for one in made:
            if one is None:
                continue
            find_embedding(network, one.embedding)
            if is_own(one):
                text = self.train_text[:FEW].narrowed().to(self.device)
                losses = partial(_loss, network, text), partial(network.class_logits, text)
                once = stream(Purpose.DRY_RUN, 0)
                with fork_rng(once, self.device), dropout(network):
                    check_perturbation(one, network, *losses)

    def epochs(self, replays: int) -> int:
        """Passes over the sentences, where each batch is for so many updates in a row."""
        return max(1, round(self.settings.epochs / replays))

    def steps(self, name: str) -> int:
        """How much work a run is, as a bar counts it."""
        one = perturbation(name, code=Typed())
        replays = one.replays if one else 1
        updates = math.ceil(len(self.train_text) / self.settings.batch) * replays
        return updates * self.epochs(replays) + len(self.settings.attack.epsilon) * self._pieces

    @property
    def _pieces(self) -> int:
        return math.ceil(len(self.test_texts[CLEAN]) / ATTACKED_AT_ONCE)

    def train(self, name: str, seed: int, advance: Advance) -> tuple[Trained, Discriminator]:
        """One classifier. The same seed gives all of them the same first weights and batches.

        Raises UserError where the weights stop being numbers.
        """
        remedy = "a smaller batch, data.length or network"
        with fork_rng(stream(Purpose.CLASSIFIER, seed), self.device), memory_errors(remedy):
            network = self.build()
            try:
                fitted = self._fit(network, perturbation(name, code=Typed()), seed, advance)
            except NotFinite as error:
                raise UserError(f"{name}, seed {seed}: {error}; try a smaller lr") from None
            accuracy, norm = self._judge(network, seed, advance)
        return Trained(name, seed, accuracy, norm=norm, **fitted), network

    def _fit(
        self, network: Discriminator, one: Perturbation | None, seed: int, advance: Advance
    ) -> dict[str, Any]:
        """Train a network; it becomes what it was after its best epoch."""
        told, text = self.settings, self.train_text
        backward: Backward = one or plain
        optimiser = build_optimiser(network, told.lr)
        replays = one.replays if one else 1
        epochs, clock = self.epochs(replays), _clock(self.device)[1]
        seconds, best, best_epoch = 0.0, -1.0, 0
        kept: dict[str, Tensor] = {}
        for epoch in range(1, epochs + 1):
            with fork_rng(stream(Purpose.CLASSIFIER_BATCHES, seed, epoch), self.device):
                order = batches(text.sizes, told.batch)
            began = clock()
            for rows in order:
                part = text[rows].narrowed().to(self.device)
                for _ in range(replays):
                    self._step(network, optimiser, backward, part)
                    advance(1)
            seconds += clock() - began
            found = float(_right(network, self.valid_text).double().mean())
            if found > best:
                best, best_epoch = found, epoch
                kept = {key: value.clone() for key, value in network.state_dict().items()}
        network.load_state_dict(kept)
        return {"valid": best, "epoch": best_epoch, "epochs": epochs, "seconds": seconds}

    def _step(
        self,
        network: Discriminator,
        optimiser: torch.optim.Optimizer,
        backward: Backward,
        text: Text,
    ) -> None:
        outputs = partial(network.class_logits, text)

        def with_outputs(
            network: nn.Module,
            loss: Callable[[], Loss],
            _: Outputs | None = None,
            scale: float | Tensor = 1.0,
            /,
        ) -> Loss:
            return backward(network, loss, outputs, scale)

        update(network, optimiser, partial(_loss, network, text), with_outputs, self.settings.clip)

    def _judge(
        self, network: Discriminator, seed: int, advance: Advance
    ) -> tuple[dict[str, float], float]:
        """The accuracy under each trouble, and the norm of a typical vector."""
        told, texts = self.settings.attack, self.test_texts
        right = {name: _right(network, text) for name, text in texts.items()}
        text, clean = texts[CLEAN], right.pop(CLEAN)
        found = {CLEAN: float(clean.double().mean())}
        norm = typical_norm(network, [part for _, part in _pieces(text, self.device)])
        told_right = text[clean.nonzero().squeeze(1)]  # what is wrong already stays wrong
        for epsilon in told.epsilon:
            random = torch.Generator(self.device).manual_seed(stream(Purpose.ATTACK, seed))
            left = 0
            for _, part in _pieces(told_right, self.device, ATTACKED_AT_ONCE):
                worst = attack(
                    network,
                    part,
                    epsilon,
                    norm=None if told.absolute else norm,
                    steps=told.steps,
                    restarts=told.restarts,
                    stride=told.stride,
                    random=random,
                )
                left += int((worst < 0).sum())
            found[f"attack {epsilon:g}"] = left / len(text)
            advance(self._pieces)
        return found | {name: float(one.double().mean()) for name, one in right.items()}, norm

    def keep(self, folder: Path, network: Discriminator, name: str) -> None:
        """Save a trained network, for `load_classifier`, over what a killed run left of it."""
        shutil.rmtree(folder, ignore_errors=True)
        facts = {"labels": list(self.split.names), "perturb": name, "data": self.split.facts}
        save_encoder(folder, self.network, self.settings.network, network, self.tokenizer, facts)


def _read(tokenizer: Tokenizer, part: Part) -> Text:
    return replace(tokenizer(part.lines), condition=Condition(part.labels))


def _loss(network: Discriminator, text: Text) -> Loss:
    assert text.labels is not None
    return F.cross_entropy(network.class_logits(text), text.labels), {}


@torch.no_grad()
def _right(network: Discriminator, text: Text) -> Tensor:
    """Which labelled texts a network tells right, (N,) bool; a tie is not right."""
    found = torch.zeros(len(text), dtype=torch.bool)
    for rows, part in _pieces(text, network.output.weight.device):
        assert part.labels is not None
        found[rows] = (margins(network.class_logits(part), part.labels) < 0).cpu()
    return found


def _pieces(text: Text, device: torch.device, at_once: int = 1024) -> Iterator[tuple[Tensor, Text]]:
    """A text in pieces of similar sizes, no wider than they need be, and where they stood."""
    for rows in text.sizes.argsort(stable=True).split(at_once):
        if len(rows):
            yield rows, text[rows].narrowed().to(device)


def _clock(device: torch.device) -> tuple[str, Callable[[], float]]:
    """What tells the time of training, and how: not that of other work, where that can be told."""
    if device.type == "cuda":

        def synchronised() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return "seconds", synchronised
    if torch.get_num_threads() == 1:
        return "processor seconds", time.process_time
    return "seconds", time.perf_counter


def _slug(name: str) -> str:
    """A perturbation as a folder can be called."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")
