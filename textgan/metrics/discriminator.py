"""The accuracy of a freshly trained discriminator on texts and real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.score import Score
from textgan.core.seeds import fork_rng
from textgan.core.streams import Purpose, stream
from textgan.data.batches import by_size
from textgan.data.sentences import Sentences, joined
from textgan.data.text import Text
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.networks import USUAL_EPOCHS, mean_size, read, train_network, train_tokenizer
from textgan.models.discriminators.base import padded_to
from textgan.models.discriminators.cnn import CNNDiscriminator

FEWEST = 100  # texts of each kind: 20 of them are scored
DISCRIMINATOR_SECONDS = 3e-5  # of a word that it reads while it trains, on one core


def shuffled(sentences: Sentences, seed: int) -> Sentences:
    """Return the sentences, the words of each in a random order."""
    random = torch.Generator().manual_seed(stream(Purpose.SHUFFLED_WORDS, seed))
    keys = sentences.rows + torch.rand(len(sentences.words), generator=random, dtype=torch.double)
    return Sentences(sentences.words[keys.argsort()], sentences.sizes)


def parts(sentences: Sentences, n: int, seed: int) -> list[Sentences]:
    """Draw n of the sentences at random: 60 % to train on, 20 % to stop by, 20 % to score.

    Of two sets of the same size the same places are taken, so that a sentence and its shuffled
    words, or its copy, are in the same part: none of them is scored by memory of the other.
    """
    random = torch.Generator().manual_seed(stream(Purpose.JUDGE_PARTS, seed))
    order = torch.randperm(len(sentences), generator=random)[:n]
    bounds = [0, n * 6 // 10, n * 8 // 10, n]
    return [sentences[order[a:b]] for a, b in pairwise(bounds)]


@dataclass(frozen=True, kw_only=True)
class DiscriminatorAccuracy(Metric, name="discriminator"):
    """The share of unseen texts about which a discriminator trained here is right.

    A small SeqGAN CNN learns from 60 % of the texts and as many real ones, stops by 20 % and is
    scored on the last 20 %. 0.5 means that it cannot tell them apart; lower is better, and below
    0.5 is chance. `d_accuracy_shuffled` says how sharp it is: the same training on real
    text against itself with the words of each sentence in a random order.

    Pitfalls: any difference will do, also one of topic, spelling or tokenisation that no reader
    would mind (the published training and test captions of COCO differ at 0.91), so read it
    beside the real-data row. It is no distance: two generators at 0.99 may be far apart. It grows
    with the number of texts to learn from. The interval is that of the scored texts; another
    training would differ as well.
    """

    paper: ClassVar[str] = "Revisiting classifier two-sample tests (arXiv 1610.06545)"
    trains: ClassVar[bool] = True

    texts: Annotated[int, Field(ge=FEWEST, description="of each kind, at most")] = 10_000
    embedding: Annotated[int, Field(ge=1, description="size of a word's vector")] = 64
    filters: Annotated[int, Field(ge=1, description="of each size")] = 64
    widest: Annotated[int, Field(ge=1, le=9, description="filters see 1 word to this many")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="while it trains")] = 0.5
    lr: Annotated[float, Field(gt=0, description="learning rate of Adam")] = 1e-3
    batch: Annotated[int, Field(ge=1, description="texts a step, of both kinds")] = 64
    reads: Annotated[int, Field(ge=1, description="texts it reads while it trains")] = 60_000
    vocabulary: Annotated[int, Field(ge=1, description="words it knows, at most")] = 10_000
    longest: Annotated[int, Field(ge=9, description="tokens at which texts are cut")] = 64

    def check(self, inputs: MetricInputs) -> None:
        texts, real = inputs.paired_sample, inputs.paired_references
        if min(len(texts), len(real), self.texts) < FEWEST:
            raise Unavailable(
                f"needs at least {FEWEST} texts on each side; there are {len(texts)} and "
                f"{len(real)} real ones"
            )

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        texts = 1.2 * min(len(inputs.paired_sample), len(inputs.paired_references), self.texts)
        epochs = min(USUAL_EPOCHS, self.reads / texts)
        size = min(self.longest, mean_size(inputs.paired_references))
        trained = epochs * texts * size * DISCRIMINATOR_SECONDS
        return {"": trained, "discriminator of shuffled words": trained}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        texts, real = inputs.paired_sample, inputs.paired_references
        n = min(len(texts), len(real), self.texts)
        hits = self.hits(inputs, texts, real, n)
        # the same number in every row of a table
        sharpness = inputs.remember(
            ("discriminator of shuffled words", astuple(self), n, real.digest()),
            lambda: self.hits(inputs, shuffled(real, inputs.seed), real, n),
        )
        facts = {
            "cnn": f"{self.filters}x1-{self.widest}",
            "texts": f"{n}+{n}",
            "split": "60/20/20",
            "embedding": self.embedding,
            "reads": self.reads,
            "batch": self.batch,
            "lr": self.lr,
            "dropout": self.dropout,
            "words": self.vocabulary,
            "cut": self.longest,
            "seed": inputs.seed,
            "tok": inputs.token_kind,
        }
        accuracy, replicates = inputs.mean(hits)
        sharp, sharp_replicates = inputs.mean(sharpness)
        return {
            "d_accuracy": Score(
                "Discriminator's accuracy",
                accuracy,
                inputs.sign("d", **facts),
                "lower",
                "",
                replicates,
            ),
            "d_accuracy_shuffled": Score(
                "The same for shuffled words",
                sharp,
                inputs.sign("d_shuffled", **facts),
                "higher",
                "",
                sharp_replicates,
            ),
        }

    def hits(self, inputs: MetricInputs, texts: Sentences, real: Sentences, n: int) -> Tensor:
        """Train a discriminator, and return whether it is right (1) or not (0) about each new text,
        as many real ones as others."""
        sides = zip(parts(real, n, inputs.seed), parts(texts, n, inputs.seed), strict=True)
        training, stopping, scoring = (joined(both) for both in sides)
        # not the words of real text alone: an unknown word would give every other text away
        words = [inputs.words(part) for part in (training, stopping, scoring)]
        tokenizer, _ = train_tokenizer(words[0], self.vocabulary, self.longest)
        device = inputs.device
        train, seen, new = (self.text(tokenizer, part, device) for part in words)
        is_real = halves(train)
        with fork_rng(stream(Purpose.JUDGE, inputs.seed), device):
            network = CNNDiscriminator(
                tokenizer.space,
                embedding=self.embedding,
                sizes=list(range(1, self.widest + 1)),
                counts=[self.filters] * self.widest,
                dropout=self.dropout,
            ).to(device)

            def loss(chosen: Tensor) -> Tensor:
                chosen = chosen.to(device)
                return F.binary_cross_entropy_with_logits(network(train[chosen]), is_real[chosen])

            def stop_loss() -> float:
                scores = score_texts(network, seen)
                return float(F.binary_cross_entropy_with_logits(scores, halves(seen)))

            train_network(
                network,
                train.lengths.cpu(),
                loss,
                stop_loss,
                lr=self.lr,
                batch=self.batch,
                reads=self.reads,
                progress=inputs.progress,
                what="discriminator",
            )
        rightly = score_texts(network, new) * (2 * halves(new) - 1)
        return (rightly > 0).double()

    def text(
        self, tokenizer: WordTokenizer, sentences: Sequence[Sequence[str]], device: torch.device
    ) -> Text:
        """Encode sentences of words as the network reads them, wide enough for its filters."""
        text = read(tokenizer, sentences)
        return padded_to(text, self.widest, tokenizer.space.pad).to(device)


def halves(text: Text) -> Tensor:
    """Return (B,) labels: 1 for the first half of the texts, the real ones, else 0."""
    places = torch.arange(len(text), device=text.tokens.device)
    return (places < len(text) // 2).float()


@torch.no_grad()
def score_texts(network: CNNDiscriminator, text: Text) -> Tensor:
    """Return the score of each text, (B,), high for real ones, whatever else is in the batch."""
    scores = torch.zeros(len(text), device=text.tokens.device)
    for piece in by_size(text):
        scores[piece] = network(text[piece])
    return scores
