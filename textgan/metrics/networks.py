"""What metrics that train networks share: words as networks read them, and language models.

A network trained for a metric is an instrument, so all about it is fixed: its size, its words, how
many sentences it learns from, its seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, replace
from typing import Annotated, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.optim import Loss, NotFinite, build_optimiser, plain, update
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.batches import batches, by_size
from textgan.data.sentences import Sentences
from textgan.data.text import START, Text, TextSpace
from textgan.data.vocabulary import EOS, SPECIAL, UNKNOWN
from textgan.losses import nll
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.generators.recurrent import LSTMGenerator

FEWEST = 50  # sentences without which a language model has nothing to learn from
PATIENCE = 3  # epochs that are no better than the best before training stops
CLIP = 5.0  # norm of a gradient
USUAL_EPOCHS = 20  # before it overfits, where it may read its texts more often
SECONDS_A_WORD = 6e-5  # that a language model reads while it trains, on one core
REAL_MODEL = "language model of real text"  # what metrics share, for estimates of time

Step = TypeVar("Step")


class Progress(Protocol):
    """What shows how far a loop has come: `MetricInputs.progress`."""

    def __call__(self, steps: Iterable[Step], what: str, /) -> Iterable[Step]: ...


def silent(steps: Iterable[Step], what: str, /) -> Iterable[Step]:
    """Shows nothing."""
    return steps


@dataclass(frozen=True)
class Known:
    """The words that networks know; all others are one unknown word to them.

    words: (K,) their numbers among all words, the most frequent first.
    others: how many different words of the real text are unknown.
    longest: tokens at which a sentence is cut, its end being one of them.
    """

    words: Tensor
    others: int
    longest: int

    @staticmethod
    def of(real: Sentences, most: int, longest: int) -> Known:
        """Words that stand in a text twice or more, at most so many, the most frequent.

        A word seen once is left out, so that a network meets the unknown word while it trains.
        Equally frequent words keep the order in which they first occur: what a network learns must
        not depend on the numbers that words were given.
        """
        kinds, kind = real.words.unique(return_inverse=True)
        counts = torch.bincount(kind, minlength=len(kinds))
        places = torch.arange(len(kind))
        first = torch.full_like(kinds, len(kind)).scatter_reduce(0, kind, places, "amin")
        order = first.argsort()
        order = order[counts[order].argsort(descending=True, stable=True)]
        kept = order[counts[order] > 1][:most]
        return Known(kinds[kept], len(kinds) - len(kept), longest)

    @property
    def space(self) -> TextSpace:
        """The texts that networks read."""
        return TextSpace(SPECIAL + len(self.words), self.longest, EOS)

    def text(self, sentences: Sentences) -> Text:
        """Sentences as networks read them: each ended, then cut at `longest` tokens, so that the
        end of a longer one is not seen. An empty sentence is its end alone."""
        words, sizes = sentences.words, sentences.sizes
        largest = max((int(part.max()) for part in (self.words, words) if len(part)), default=0)
        ids = torch.full((largest + 1,), UNKNOWN)
        ids[self.words] = SPECIAL + torch.arange(len(self.words))
        width = min(self.longest, int(sizes.max()) + 1)
        rows, places = sentences.rows, torch.arange(len(words))
        places = places - sentences.starts.repeat_interleave(sizes)
        inside, ended = places < width, sizes < width
        tokens = torch.zeros(len(sizes), width, dtype=torch.long)
        tokens[rows[inside], places[inside]] = ids[words[inside]]
        tokens[ended, sizes[ended]] = EOS
        return Text(tokens, (sizes + 1).clamp(max=width))


def fit(
    network: nn.Module,
    sizes: Tensor,
    loss: Callable[[Tensor], Tensor],
    held_out: Callable[[], float],
    *,
    lr: float,
    batch: int,
    reads: int,
    progress: Progress,
    what: str,
) -> None:
    """Train a network with Adam until it has read that many texts, some of them many times, or
    overfits; it becomes what it was after its best epoch.

    sizes: (B,) of the texts it learns from. loss: of those at some indices. held_out: the loss of
    others. Raises Unavailable where the weights stop being numbers.
    """
    optimiser = build_optimiser(network, lr)
    best, since, kept = math.inf, 0, network.state_dict()
    for _ in progress(range(max(1, reads // len(sizes))), f"training a {what}"):
        for chosen in batches(sizes, batch):

            def of_batch(chosen: Tensor = chosen) -> Loss:
                return loss(chosen), {}

            try:
                update(network, optimiser, of_batch, plain, CLIP)
            except NotFinite as error:
                raise Unavailable(f"the {what} did not train: {error}") from None
        found, since = held_out(), since + 1
        if found < best:
            best, since = found, 0
            kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        elif since == PATIENCE:
            break
    if best == math.inf:
        raise Unavailable(f"the {what} did not train: its loss is not a number")
    network.load_state_dict(kept)


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """How the language models of an evaluation are made."""

    embedding: Annotated[int, Field(ge=1, description="size of a word's vector")] = 64
    hidden: Annotated[int, Field(ge=1, description="size of the state")] = 128
    dropout: Annotated[float, Field(ge=0, lt=1, description="while it trains")] = 0.2
    lr: Annotated[float, Field(gt=0, description="learning rate of Adam")] = 5e-3
    batch: Annotated[int, Field(ge=1, description="sentences a step")] = 32
    sentences: Annotated[int, Field(ge=FEWEST, description="it learns from, at most")] = 10_000
    reads: Annotated[int, Field(ge=1, description="sentences it reads while it trains")] = 50_000
    vocabulary: Annotated[int, Field(ge=1, description="words it knows, at most")] = 5_000
    longest: Annotated[int, Field(ge=2, description="tokens at which sentences are cut")] = 64


@dataclass(frozen=True)
class LanguageModel:
    """A network that gives sentences their probability, and the words that it knows.

    facts: how it was made, for signatures.
    """

    network: LSTMGenerator
    known: Known
    facts: dict[str, object]


def enough_to_train_on(sentences: Sentences) -> None:
    """Unavailable for fewer texts than a language model learns anything from."""
    if len(sentences) < FEWEST:
        raise Unavailable(
            f"needs at least {FEWEST} texts to train a language model on; there are "
            f"{len(sentences)}"
        )


def text_to_train_on(material: MetricInputs) -> Sentences:
    """The real text that networks learn from; Unavailable where there is none or little of it."""
    train = material.train
    if train is None or len(train) < FEWEST:
        there = "is none" if train is None else f"are {len(train)}"
        raise Unavailable(
            f"needs at least {FEWEST} real texts to train on, apart from those it judges by; there "
            f"{there}: give more --references ({3 * FEWEST} or more), or --real FILE, or --train "
            "FILE, the text the generator was trained on"
        )
    return train


def mean_size(sentences: Sentences) -> float:
    """How many words a text has, with its end."""
    return 1 + len(sentences.words) / max(1, len(sentences))


def training_seconds(sentences: Sentences | None, told: LanguageModelSettings) -> float:
    """About how long a language model takes to learn from texts, on one core."""
    if sentences is None or not len(sentences):
        return 0.0
    learnt = min(len(sentences), told.sentences)
    epochs = min(USUAL_EPOCHS, told.reads / learnt)
    return epochs * learnt * min(told.longest, mean_size(sentences)) * SECONDS_A_WORD


def reading_seconds(sentences: Sentences, told: LanguageModelSettings) -> float:
    """About how long a language model takes to read texts once, on one core."""
    return len(sentences) * min(told.longest, mean_size(sentences)) * SECONDS_A_WORD / 3


def train_language_model(
    sentences: Sentences,
    known: Known,
    told: LanguageModelSettings,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> LanguageModel:
    """An LSTM taught by teacher forcing: the best epoch on a tenth of the sentences, which it never
    learns from.

    Raises Unavailable for too few sentences, or where the weights stop being numbers.
    """
    device = device or torch.device("cpu")
    enough_to_train_on(sentences)
    with fork_rng(stream(Purpose.LANGUAGE_MODEL, seed), device):
        text = known.text(sentences[torch.randperm(len(sentences))[: told.sentences]])
        held_out, taught = text[: len(text) // 10], text[len(text) // 10 :]
        network = LSTMGenerator(
            known.space, embedding=told.embedding, hidden=told.hidden, dropout=told.dropout
        ).to(device)

        # a mean over the tokens of a batch would weigh those of short sentences more
        usual_size = float(taught.sizes.double().mean())

        def loss(chosen: Tensor) -> Tensor:
            part = taught[chosen].narrowed().to(device)
            return nll(network.log_prob(part), part.mask, "mean_sentence") / usual_size

        fit(
            network,
            taught.sizes,
            loss,
            lambda: float(costs(network, held_out).sum()),
            lr=told.lr,
            batch=told.batch,
            reads=told.reads,
            progress=progress,
            what="language model",
        )
    facts: dict[str, object] = {
        "lstm": f"{told.embedding}x{told.hidden}",
        "learnt": len(text),
        "reads": told.reads,
        "batch": told.batch,
        "lr": told.lr,
        "dropout": told.dropout,
        "words": len(known.words),
        "unknown": known.others,
        "cut": told.longest,
        "seed": seed,
    }
    return LanguageModel(network, known, facts)


def costs(network: AutoregressiveGenerator, text: Text, progress: Progress = silent) -> Tensor:
    """Nats that each text costs, (B,) float64, whatever it stands beside."""
    device = network.embedding.weight.device
    found = torch.zeros(len(text), dtype=torch.float64)
    for piece in progress(by_size(text), "reading texts"):
        found[piece] = -network.score(text[piece].narrowed().to(device)).double().cpu()
    return found


def known_words(material: MetricInputs, told: LanguageModelSettings) -> Known:
    """The words that language models know, the same in all rows: those of train, else of the
    references."""
    real = material.references if material.train is None else material.train
    key = ("known words", told.vocabulary, told.longest, real.digest())
    return material.remember(key, lambda: Known.of(real, told.vocabulary, told.longest))


def real_language_model(
    material: MetricInputs, told: LanguageModelSettings | None = None
) -> LanguageModel:
    """The language model of train, trained once for all metrics and rows.

    Raises Unavailable where there is no train or little of it.
    """
    told = told or LanguageModelSettings()
    train = text_to_train_on(material)

    def trained() -> LanguageModel:
        made = train_language_model(
            train,
            known_words(material, told),
            told,
            seed=material.seed,
            device=material.device,
            progress=material.progress,
        )
        if material.learnt == "train":
            return made
        return replace(made, facts=made.facts | {"on": material.learnt})

    return material.remember(("language model", astuple(told), train.digest()), trained)


@torch.no_grad()
def encode(model: LanguageModel, sentences: Sentences) -> Tensor:
    """The mean of the states from which a sentence's words and its end are predicted,
    (B, F) float64.

    Every state sums up the words before it, so the mean knows their order, and all of a sentence
    has a part in it; the last state alone would speak mostly of how sentences end.
    """
    network, text = model.network, model.known.text(sentences)
    size, device = network.output.in_features, network.embedding.weight.device
    found = torch.zeros(len(text), size, dtype=torch.float64)
    for piece in by_size(text):
        part = text[piece].narrowed().to(device)
        total = torch.zeros(len(part), size, device=device)
        state, symbol = network.start(len(part)), torch.full_like(part.sizes, START)
        for place, following in enumerate(part.tokens.unbind(1)):
            hidden, state = network.read(symbol, state)
            total += hidden * (place < part.sizes).unsqueeze(1)
            symbol = following
        found[piece] = (total / part.sizes.unsqueeze(1)).double().cpu()
    return found
