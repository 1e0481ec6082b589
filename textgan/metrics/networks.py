"""The common ground of metrics that train networks: words as networks read them, and language
models.

A network trained for a metric is an instrument, so all about it is fixed: its size, its words, how
many sentences it learns from, its seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import astuple, dataclass, replace
from typing import Annotated, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from textgan.core.errors import option
from textgan.core.optim import Loss, NotFinite, plain
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.batches import batches, by_size
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.sentences import Sentences
from textgan.data.text import Text
from textgan.data.tokenizers import WordTokenizer
from textgan.losses import nll
from textgan.metrics.base import MetricInputs, Unavailable
from textgan.models.fit import fit
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
    """A function that shows how far a loop has come, as `MetricInputs.progress` does."""

    def __call__(self, steps: Iterable[Step], what: str, /) -> Iterable[Step]: ...


def silent(steps: Iterable[Step], what: str, /) -> Iterable[Step]:
    """Return the steps as they are and show nothing."""
    return steps


def train_tokenizer(
    sentences: Iterable[Sequence[str]], vocabulary: int, length: int
) -> tuple[WordTokenizer, int]:
    """Make a tokenizer of the words that occur in sentences twice or more, the `vocabulary` most
    frequent, which cuts texts at `length` tokens; and count the other words of the sentences.

    A word seen once is left out, so that a network meets the unknown word while it trains. Equally
    frequent words keep the order in which they first occur.
    """
    counts = Counter(word for words in sentences for word in words)
    kept = [word for word, count in counts.most_common() if count > 1][:vocabulary]
    tokenizer = WordTokenizer(tuple(kept), PreTokenizer(unknown=""), length)
    return tokenizer, len(counts) - len(kept)


def read(tokenizer: WordTokenizer, sentences: Iterable[Sequence[str]]) -> Text:
    """Encode sentences of words as a network reads them; an empty one is its end alone."""
    return tokenizer.pad(map(tokenizer.convert_tokens_to_ids, sentences))


def train_network(
    network: nn.Module,
    sizes: Tensor,
    loss: Callable[[Tensor], Tensor],
    validation_loss: Callable[[], float],
    *,
    lr: float,
    batch: int,
    reads: int,
    progress: Progress,
    what: str,
) -> None:
    """Train a network until it has read that many texts, some of them many times, or overfits; it
    becomes what it was after its best epoch.

    sizes: (B,) lengths of the texts it learns from. loss: of those at some indices.
    validation_loss: of others. Raises Unavailable where the weights stop being numbers.
    """

    def accumulate(chosen: Tensor) -> Loss:
        return plain(network, lambda: (loss(chosen), {}))

    epochs = progress(range(max(1, reads // len(sizes))), f"training a {what}")
    try:
        best = fit(
            network,
            (batches(sizes, batch) for _ in epochs),
            accumulate,
            validation_loss,
            lr=lr,
            clip=CLIP,
            patience=PATIENCE,
        )
    except NotFinite as error:
        raise Unavailable(f"the {what} did not train: {error}") from None
    if best.weights is None:
        raise Unavailable(f"the {what} did not train: its loss is not a number")


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """Settings of the language models of an evaluation."""

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
    """A network that gives sentences their probability, and the tokenizer that it reads by.

    unknown: how many different words of real text are unknown to it. facts: how it was made, for
    signatures.
    """

    network: LSTMGenerator
    tokenizer: WordTokenizer
    unknown: int
    facts: dict[str, object]


def enough_to_train_on(sentences: Sized) -> None:
    """Raise Unavailable for too few texts to train a language model on."""
    if len(sentences) < FEWEST:
        raise Unavailable(
            f"needs at least {FEWEST} texts to train a language model on; there are "
            f"{len(sentences)}"
        )


def text_to_train_on(inputs: MetricInputs) -> Sentences:
    """Return the real text to train networks on. Raises Unavailable where there is none or little
    of it."""
    train = inputs.train
    if train is None or len(train) < FEWEST:
        there = "is none" if train is None else f"are {len(train)}"
        raise Unavailable(
            f"needs at least {FEWEST} real texts to train on, apart from those it judges by; there "
            f"{there}: give more {option('references')} ({3 * FEWEST} or more), or "
            f"{option('real', 'FILE')}, or {option('train', 'FILE')}, the text the generator was "
            "trained on"
        )
    return train


def mean_size(sentences: Sentences) -> float:
    """Compute the mean number of words of a text, its end counted."""
    return 1 + len(sentences.words) / max(1, len(sentences))


def training_seconds(sentences: Sentences | None, settings: LanguageModelSettings) -> float:
    """Estimate the seconds to train a language model on texts, on one core."""
    if sentences is None or not len(sentences):
        return 0.0
    texts = min(len(sentences), settings.sentences)
    epochs = min(USUAL_EPOCHS, settings.reads / texts)
    return epochs * texts * min(settings.longest, mean_size(sentences)) * SECONDS_A_WORD


def reading_seconds(sentences: Sentences, settings: LanguageModelSettings) -> float:
    """Estimate the seconds in which a language model reads texts once, on one core."""
    return len(sentences) * min(settings.longest, mean_size(sentences)) * SECONDS_A_WORD / 3


def train_language_model(
    sentences: Sequence[Sequence[str]],
    known: tuple[WordTokenizer, int],
    settings: LanguageModelSettings,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> LanguageModel:
    """Train an LSTM by teacher forcing, and take its best epoch on a tenth of the sentences, which
    are not trained on.

    known: what `train_tokenizer` made. Raises Unavailable for too few sentences, or where the
    weights stop being numbers.
    """
    (tokenizer, unknown), device = known, device or torch.device("cpu")
    enough_to_train_on(sentences)
    with fork_rng(stream(Purpose.LANGUAGE_MODEL, seed), device):
        chosen = torch.randperm(len(sentences))[: settings.sentences].tolist()
        text = read(tokenizer, (sentences[row] for row in chosen))
        held_out, taught = text[: len(text) // 10], text[len(text) // 10 :]
        network = LSTMGenerator(
            tokenizer.space,
            embedding=settings.embedding,
            hidden=settings.hidden,
            dropout=settings.dropout,
        ).to(device)

        # a mean over the tokens of a batch would weigh those of short sentences more
        usual_size = float(taught.lengths.double().mean())

        def loss(chosen: Tensor) -> Tensor:
            part = taught[chosen].trimmed().to(device)
            return nll(network.log_prob(part), part.mask, "mean_sentence") / usual_size

        train_network(
            network,
            taught.lengths,
            loss,
            lambda: float(costs(network, held_out).sum()),
            lr=settings.lr,
            batch=settings.batch,
            reads=settings.reads,
            progress=progress,
            what="language model",
        )
    facts: dict[str, object] = {
        "lstm": f"{settings.embedding}x{settings.hidden}",
        "learnt": len(text),
        "reads": settings.reads,
        "batch": settings.batch,
        "lr": settings.lr,
        "dropout": settings.dropout,
        "words": len(tokenizer.words),
        "unknown": unknown,
        "cut": settings.longest,
        "seed": seed,
    }
    return LanguageModel(network, tokenizer, unknown, facts)


def costs(network: AutoregressiveGenerator, text: Text, progress: Progress = silent) -> Tensor:
    """Compute the nats of each text, (B,) float64, whatever else is in the batch."""
    device = network.embedding.weight.device
    nats = torch.zeros(len(text), dtype=torch.float64)
    for piece in progress(by_size(text), "reading texts"):
        nats[piece] = -network.score(text[piece].trimmed().to(device)).double().cpu()
    return nats


def shared_tokenizer(
    inputs: MetricInputs, settings: LanguageModelSettings
) -> tuple[WordTokenizer, int]:
    """Return the result of `train_tokenizer` for language models, which all rows share: of the
    words of train, else of the references."""
    real = inputs.references if inputs.train is None else inputs.train
    key = ("tokenizer", settings.vocabulary, settings.longest, real.digest())
    return inputs.remember(
        key, lambda: train_tokenizer(inputs.words(real), settings.vocabulary, settings.longest)
    )


def real_language_model(
    inputs: MetricInputs, settings: LanguageModelSettings | None = None
) -> LanguageModel:
    """Return the language model of train, trained once for all metrics and rows.

    Raises Unavailable where there is no train or little of it.
    """
    settings = settings or LanguageModelSettings()
    train = text_to_train_on(inputs)

    def trained() -> LanguageModel:
        made = train_language_model(
            inputs.words(train),
            shared_tokenizer(inputs, settings),
            settings,
            seed=inputs.seed,
            device=inputs.device,
            progress=inputs.progress,
        )
        if inputs.train_source == "train":
            return made
        return replace(made, facts=made.facts | {"on": inputs.train_source})

    return inputs.remember(("language model", astuple(settings), train.digest()), trained)


@torch.no_grad()
def encode(model: LanguageModel, sentences: Iterable[Sequence[str]]) -> Tensor:
    """Compute the mean of the states from which a sentence's words and its end are predicted, (B,
    F) float64.

    Every state sums up the words before it, so the mean knows their order, and all of a sentence
    has a part in it; the last state alone is mostly that of how sentences end.
    """
    network, text = model.network, read(model.tokenizer, sentences)
    size, device = network.output.in_features, network.embedding.weight.device
    vectors = torch.zeros(len(text), size, dtype=torch.float64)
    for piece in by_size(text):
        part = text[piece].trimmed().to(device)
        total = torch.zeros(len(part), size, device=device)
        state = network.start(len(part))
        symbol = torch.full_like(part.lengths, network.space.bos)
        for place, following in enumerate(part.tokens.unbind(1)):
            hidden, state = network.read(symbol, state)
            total += hidden * (place < part.lengths).unsqueeze(1)
            symbol = following
        vectors[piece] = (total / part.lengths.unsqueeze(1)).double().cpu()
    return vectors
