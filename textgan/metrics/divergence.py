"""The divergence of the generator's distribution over whole texts from the oracle's.

With G(y) at the temperature at which the generator's texts are drawn, O(y) at temperature 1, and
M = (G + O) / 2:

    kl_generator   KL(G || O) = E_G log G/O      large where it writes what the oracle would not
    kl_oracle      KL(O || G) = E_O log O/G      large where it does not write what the oracle would
    js             (E_O log O/M + E_G log G/M) / 2, at most log 2
    tv             sum |G - O| / 2, at most 1
    reverse_kl     KL(G || O) a token = NLL_oracle - entropy of G
    forward_kl     KL(O || G) a token = NLL_test - entropy of O

The last two are the divergences over the mean length of the texts that they are means over, which
puts them beside the NLLs. Both are paired by text: log G and log O are of the same drawn texts, or
of the same held-out ones, so what one text adds to both terms cancels in the interval.

Both densities are known, so each expectation is a mean over texts drawn from G or from O: unbiased
however many texts there are. Where all texts can be written down the sums are taken over them.
Of texts that answer a source, G and O are those given it, and the means are over sources as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from textgan.core.score import Score
from textgan.core.statistics import Estimate, Floats, percentiles
from textgan.data.text import Text, TextSpace
from textgan.metrics.base import Metric, MetricInputs, Unavailable
from textgan.metrics.likelihood import (
    UNIT,
    WANTED,
    Model,
    at_temperature,
    fingerprint,
    known_models,
    log_likelihoods,
    remembered,
    resampled_with,
    widened,
)
from textgan.models.tempering import label

MODELS: tuple[Model, Model] = ("generator", "oracle")
TITLES = {
    "kl_generator": "KL(G‖O)",
    "kl_oracle": "KL(O‖G)",
    "js": "JS(G, O)",
    "tv": "TV(G, O)",
    "reverse_kl": "KL(G‖O) per token",
    "forward_kl": "KL(O‖G) per token",
}
UNITS = {"tv": "", "reverse_kl": UNIT, "forward_kl": UNIT}


def log_over_mixture(a: Tensor, b: Tensor) -> Tensor:
    """Compute log A / ((A + B) / 2) of densities log A and log B (B,), at most log 2, exactly 0
    where they are equal."""
    d = b - a
    return -(d.clamp(min=0) + torch.log1p(torch.expm1(-d.abs()) / 2))


def exact_divergences(g: Tensor, o: Tensor) -> dict[str, float]:
    """Compute every divergence of two distributions from log G and log O of all texts (N,).

    Infinite where one of them is zero and the other is not, as it should be.
    """
    # single precision leaves their sums beside 1, and a divergence may then come out negative
    g, o = g.log_softmax(0), o.log_softmax(0)

    def under(log_p: Tensor, values: Tensor) -> float:
        p = log_p.exp()
        return float(torch.where(p > 0, p * values, 0.0).sum())

    return {
        "kl_generator": under(g, g - o),
        "kl_oracle": under(o, o - g),
        "js": (under(o, log_over_mixture(o, g)) + under(g, log_over_mixture(g, o))) / 2,
        "tv": float((g.exp() - o.exp()).abs().sum()) / 2,
    }


def mean_length(log_p: Tensor, lengths: Tensor) -> float:
    """Compute the expected length of a text from log P and lengths of all texts (N,)."""
    return float((log_p.softmax(0) * lengths).sum())


def how_many(space: TextSpace) -> int:
    """Count the texts of a space."""
    if space.eos is None:
        return int(space.vocabulary**space.length)
    words = space.vocabulary - 2  # neither padding nor the end
    return sum(words**n for n in range(space.length + 1))


def every_text(space: TextSpace) -> Text:
    """Return all texts of a space, each once."""

    def written(words: Tensor, n: int) -> Tensor:
        """Return all sequences of n words."""
        codes = torch.arange(len(words) ** n).unsqueeze(1)
        return words[codes // len(words) ** torch.arange(n) % max(1, len(words))]

    ids = torch.arange(space.vocabulary)
    if space.eos is None:
        return Text.full(written(ids, space.length))
    words = ids[(ids != 0) & (ids != space.eos)]
    ended = [F.pad(written(words, n), (0, 1), value=space.eos) for n in range(space.length)]
    pieces = [*ended, written(words, space.length)]
    return Text.ended(
        torch.cat([F.pad(piece, (0, space.length - piece.shape[1])) for piece in pieces]), space
    )


@dataclass(kw_only=True)
class Divergence(Metric, name="divergence"):
    """The divergence of the generator's distribution over whole texts from the oracle's, in nats.

    KL(G‖O) punishes what the oracle would not write, KL(O‖G) what the generator leaves out, the
    Jensen-Shannon divergence (JS, at most log 2) both; all are 0 for the oracle itself and lower is
    better. Means over drawn texts are unbiased and may be below 0 by chance. Where a space has at
    most `enumerable` texts all of them are summed instead, which is exact (`exact` in the
    signature), and total variation (TV, at most 1) is given too. The two KLs are given a text and a
    token. Those a token are NLL_oracle and NLL_test without the entropy that no generator can take
    away from them.

    Pitfalls: they are of whole texts and grow with the length, so that JS is near its limit, 0.693
    nats, for any two models of long texts unless they are close. KL(O‖G) is dominated by the few
    texts that the generator finds hardest, and an interval from texts that miss these is too
    narrow. Below temperature 1 KL(O‖G) grows fast though no sample looks worse. A generator that
    repeats one likely text has a small KL(G‖O), so neither KL is to be read without the other.
    """

    paper: ClassVar[str] = "Lin 1991, Divergence measures based on the Shannon entropy"

    enumerable: Annotated[
        int, Field(ge=0, description="texts of a space, at most, that are summed and not drawn")
    ] = 2**17

    def check(self, inputs: MetricInputs) -> None:
        models = known_models(inputs)
        if models.oracle is None:
            raise Unavailable(f"needs {WANTED['oracle']}")
        if models.generator is None:
            raise Unavailable(f"needs {WANTED['generator']}")
        if models.generator.space != models.oracle.space:
            raise Unavailable("needs a generator and an oracle that write the same kind of text")

    def measure(self, inputs: MetricInputs) -> dict[str, Score]:
        self.check(inputs)
        models = known_models(inputs)
        generator, oracle = models.generator, models.oracle
        assert generator is not None and oracle is not None  # it was checked
        space = oracle.space
        texts: dict[str, object]
        if space.classes or space.source or how_many(space) > self.enumerable:
            texts = {"drawn": len(models.drawn), "test": len(models.test)}
            estimates = sampled(inputs)
        else:
            device = models.drawn.tokens.device
            every = inputs.remember(("every text", space), lambda: every_text(space).to(device))
            g = remembered(inputs, generator, every, models.temperature)
            o, lengths = remembered(inputs, oracle, every, 1.0), every.lengths.cpu()
            exact = exact_divergences(g, o)
            exact["reverse_kl"] = exact["kl_generator"] / mean_length(g, lengths)
            exact["forward_kl"] = exact["kl_oracle"] / mean_length(o, lengths)
            texts = {"exact": None}
            estimates = {name: (Estimate(value), np.empty(0)) for name, value in exact.items()}
        facts = {**texts, "temp": label(models.temperature), "oracle": fingerprint(oracle)}
        scores: dict[str, Score] = {}
        for name, (estimate, replicates) in estimates.items():
            if math.isinf(estimate.value):
                raise Unavailable(
                    "needs a generator and an oracle that can write the same texts; "
                    f"{TITLES[name]} is infinite"
                )
            unit = UNITS.get(name, "nats/text")
            signature = inputs.sign(name, **facts, unit=unit or "share")
            title = at_temperature(TITLES[name], models.temperature)
            scores[name] = Score(title, estimate, signature, "lower", unit, replicates)
        return scores


def sampled(inputs: MetricInputs) -> dict[str, tuple[Estimate, Floats]]:
    """Estimate the divergences by means over the drawn texts and over the real ones, with
    bootstraps."""
    models = known_models(inputs)
    drawn, test = resampled_with(models, "drawn"), resampled_with(models, "test")
    g, o = (log_likelihoods(inputs, model, "drawn") for model in MODELS)
    kl_generator = widened(inputs, inputs.mean(g - o, sources=drawn), -1)
    reverse = of_tokens(inputs, g - o, models.drawn, drawn, -1)
    of_drawn = inputs.mean(log_over_mixture(g, o), sources=drawn)
    g, o = (log_likelihoods(inputs, model, "test") for model in MODELS)
    # the two sides are drawn apart, so they are resampled apart
    kl_oracle = widened(inputs, inputs.mean(o - g, sources=test), 1)
    forward = of_tokens(inputs, o - g, models.test, test, 1)
    of_test = inputs.mean(log_over_mixture(o, g), side=1, sources=test)
    js = Estimate((of_drawn[0].value + of_test[0].value) / 2)
    replicates = np.empty(0)
    if len(of_drawn[1]) and len(of_test[1]):
        replicates = (of_drawn[1] + of_test[1]) / 2
        js = percentiles(js.value, replicates)
    return {
        "kl_generator": kl_generator,
        "kl_oracle": kl_oracle,
        "js": (js, replicates),
        "reverse_kl": reverse,
        "forward_kl": forward,
    }


def of_tokens(
    inputs: MetricInputs, values: Tensor, text: Text, sources: Tensor | None, sign: int
) -> tuple[Estimate, Floats]:
    """Estimate a sum over texts (B,) over that of their tokens, with a bootstrap. sign: of log Z in
    each value."""
    measured = inputs.ratio(values, text.lengths, sources=sources)
    return widened(inputs, measured, sign * len(text) / float(text.lengths.sum()))
