"""Costs of texts under a language model of real text, and of real text under one of the texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from textgan.core.score import Score
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.networks import (
    REAL_MODEL,
    LanguageModel,
    LanguageModelSettings,
    Progress,
    costs,
    enough_to_train_on,
    read,
    reading_seconds,
    real_language_model,
    shared_tokenizer,
    silent,
    text_to_train_on,
    train_language_model,
    training_seconds,
)


@dataclass(frozen=True)
class Costs:
    """The costs of B sentences under a language model.

    nats: (B,) what each costs. unknown: (B,) how many of its words are unknown. tokens: (B,) how
    many it has, its end being one of them.
    """

    nats: Tensor
    unknown: Tensor
    tokens: Tensor


def costs_of(
    model: LanguageModel, sentences: Sequence[Sequence[str]], progress: Progress = silent
) -> Costs:
    """Compute the costs of sentences of words under a language model.

    An unknown word costs what the model asks for one and log of how many there are, so that the
    probabilities of all words still sum to 1, as in adjusted perplexity. Else nonsense made of
    unknown words would cost no more than one frequent word repeated.
    """
    text = read(model.tokenizer, sentences)
    word = model.tokenizer.space.unknown
    assert word is not None  # a tokenizer of words has one
    unknown = text.tokens.eq(word).sum(1).double()
    nats = costs(model.network, text, progress)
    nats += unknown * math.log(max(1, model.unknown))
    return Costs(nats, unknown, text.lengths.double())


@dataclass(frozen=True, kw_only=True)
class LMScore(LanguageModelSettings, Metric, name="lm_score"):
    """The cost of the texts under a language model trained here on real text, in nats per word.

    The end of a sentence is counted as a word. Lower is more fluent. `lm_unknown` is the share of
    words that the model does not know: those that occur once or never in what it was trained on, or
    are too rare for its vocabulary.

    Pitfalls: it speaks of quality alone and is lowest for one likely sentence repeated, so a value
    below that of real text means that the texts are too likely, not that they are better. It
    compares only between texts scored by the same model: the same train, size and seed.
    """

    paper: ClassVar[str] = "Language GANs Falling Short (arXiv 1811.02549)"
    trains: ClassVar[bool] = True

    def check(self, inputs: MetricInputs) -> None:
        if not len(inputs.predictions):
            raise Unavailable("needs at least one text; there is none")
        text_to_train_on(inputs)

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        trained = training_seconds(inputs.train, self)
        return {"": reading_seconds(inputs.predictions, self), REAL_MODEL: trained}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        model = real_language_model(inputs, self)
        costs = costs_of(model, inputs.words(inputs.predictions), inputs.progress)
        facts = {"hyps": len(inputs.predictions), "tok": inputs.token_kind, **model.facts}
        unknown, unknown_replicates = inputs.ratio(
            costs.unknown, costs.tokens, sources=inputs.groups
        )
        per_word, replicates = inputs.ratio(costs.nats, costs.tokens, sources=inputs.groups)
        return {
            "lm_score": Score(
                "LM score",
                per_word,
                inputs.sign("lm", **facts),
                "lower",
                "nats per word",
                replicates,
            ),
            "lm_unknown": Score(
                "Unknown words",
                unknown,
                inputs.sign("unknown", **facts),
                "like real text",
                "share of words",
                unknown_replicates,
            ),
        }


@dataclass(frozen=True, kw_only=True)
class ReverseLM(LanguageModelSettings, Metric, name="reverse_lm"):
    """The cost of real text under a language model trained here on the texts, in nats per word.

    The end of a sentence is counted as a word, and the words known are those of real text, the same
    for every row. Lower is better: what the texts leave out makes real text dear. exp of it is the
    reverse perplexity.

    Pitfalls: it measures quality and diversity together and cannot tell which is missing. It falls
    as the texts become more, so only equal numbers of them compare. The interval is that of the
    real sentences; another training of the same model would differ as well.
    """

    paper: ClassVar[str] = "Language GANs Falling Short (arXiv 1811.02549)"
    trains: ClassVar[bool] = True

    def check(self, inputs: MetricInputs) -> None:
        if not len(inputs.paired_references):
            raise Unavailable("needs at least one real text; there is none")
        enough_to_train_on(inputs.paired_sample)

    def cost(self, inputs: MetricInputs) -> dict[str, float]:
        return {"": training_seconds(inputs.paired_sample, self)}

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        model = train_language_model(
            inputs.words(inputs.paired_sample),
            shared_tokenizer(inputs, self),
            self,
            seed=inputs.seed,
            device=inputs.device,
            progress=inputs.progress,
        )
        costs = costs_of(model, inputs.words(inputs.paired_references), inputs.progress)
        facts = {"refs": len(inputs.paired_references), "tok": inputs.token_kind, **model.facts}
        per_word, replicates = inputs.ratio(costs.nats, costs.tokens)
        signature = inputs.sign("reverse_lm", **facts)
        return {
            "reverse_lm": Score(
                "Reverse LM", per_word, signature, "lower", "nats per word", replicates
            )
        }
