"""What is measured of a generator, with how sure one can be of it.

All likelihoods are nats per token: the sum over the sentences divided by the number of their
tokens, padding left out. NLL_oracle is taken on the generator's texts and speaks of quality alone;
NLL_test is taken on held-out real texts and speaks of coverage alone. Neither may be read without
the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textgan.corpus import Corpus
from textgan.generators.base import AutoregressiveGenerator, Generator, draw_texts
from textgan.ngrams import ngram_jsds
from textgan.sampling import categorical
from textgan.text import Text, TextSpace


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval (None where it is exact or was not asked for)."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed` inside, and outside as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def bootstrap(
    totals: NDArray[np.float64], counts: NDArray[np.float64], resamplings: int, seed: int = 0
) -> Estimate:
    """sum(totals) / sum(counts) with a percentile bootstrap interval over sentences (N,).

    Raises ValueError for no sentences. resamplings = 0 gives no interval.
    """
    if len(totals) == 0:
        raise ValueError("there are no sentences to estimate anything from")
    value = float(totals.sum() / counts.sum())
    if resamplings == 0:
        return Estimate(value)
    generator = np.random.default_rng(seed)
    ratios = np.empty(resamplings)
    for i in range(resamplings):
        chosen = generator.integers(len(totals), size=len(totals))
        ratios[i] = totals[chosen].sum() / counts[chosen].sum()
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def nll_per_token(
    model: AutoregressiveGenerator, text: Text, resamplings: int = 0, seed: int = 0
) -> Estimate:
    """Nats per token that texts cost under a model."""
    totals = -model.score(text).double().cpu().numpy()
    return bootstrap(totals, text.sizes.double().cpu().numpy(), resamplings, seed)


def uniform_nll(space: TextSpace) -> float:
    """Nats per token of any text under tokens drawn uniformly from those that may be written."""
    return float(np.log(space.vocabulary - (space.eos is not None)))


def unique_share(text: Text) -> float:
    """How many of the texts are different, as a share: 1 where no two are the same."""
    return len(torch.unique(text.tokens, dim=0)) / len(text)


def ngram_divergences(text: Text, corpus: Corpus, largest: int) -> dict[str, Estimate]:
    """jsd1, jsd2, ...: the n-gram divergence of texts from the training text, in bits.

    It grows as the texts become fewer, so of a sample there are taken as many texts as are held out
    for the test. Then the divergence of those, real as they are, is the floor of the sample's.
    """
    part = text.tokens[: len(corpus.test)]
    largest = min(largest, part.shape[1])
    values = ngram_jsds(part, corpus.train.tokens, largest) if largest else []
    return {f"jsd{n}": Estimate(value) for n, value in enumerate(values, start=1)}


def labels_like(text: Text, n: int) -> Tensor | None:
    """n labels drawn as often as they stand in a text; None where it has none."""
    if text.labels is None:
        return None
    return text.labels[torch.randint(len(text), (n,), device=text.labels.device)]


def measure(
    generator: Generator,
    corpus: Corpus,
    oracle: AutoregressiveGenerator | None,
    *,
    samples: int,
    seed: int,
    resamplings: int = 0,
    temperature: float = 1.0,
    ngrams: int = 0,
) -> tuple[dict[str, Estimate], Text]:
    """Every measure that this generator and corpus allow, and the texts they were taken on.

    nll_oracle: of the samples under the oracle. nll_valid, nll_test: of held-out text.
    entropy: of the samples under the generator. unique: share of different samples. length: mean
    tokens of a sample. jsd1 to jsd<ngrams>: see ngram_divergences. What needs a likelihood is left
    out for a generator that has none. The likelihoods of real text are those of the generator
    itself, so a temperature other than 1 leaves them and the entropy out rather than mix two
    distributions.
    """
    device = corpus.train.tokens.device
    choose = None if temperature == 1.0 else categorical(temperature)
    with seeded(seed, device):
        text = draw_texts(generator, samples, choose, labels_like(corpus.train, samples))
    found: dict[str, Estimate] = {}
    if oracle is not None:
        found["nll_oracle"] = nll_per_token(oracle, text, resamplings, seed)
    if isinstance(generator, AutoregressiveGenerator) and temperature == 1.0:
        found["nll_test"] = nll_per_token(generator, corpus.test, resamplings, seed)
        found["nll_valid"] = nll_per_token(generator, corpus.valid, resamplings, seed)
        found["entropy"] = nll_per_token(generator, text, resamplings, seed)
    found["unique"] = Estimate(unique_share(text))
    found["length"] = Estimate(float(text.sizes.double().mean()))
    return found | ngram_divergences(text, corpus, ngrams), text


def accuracy(real: Tensor, fake: Tensor) -> float:
    """How often scores (logits) of real and of fake texts have the right sign, half each."""
    return float((real > 0).double().mean() + (fake < 0).double().mean()) / 2


def sample_warnings(
    found: dict[str, Estimate],
    *,
    unique_alarm: float,
    entropy_alarm: float,
    mle_entropy: float | None,
    oracle_entropy: float | None,
) -> list[str]:
    """What a reader of these measures should be warned of: collapse, or a number too good."""
    warnings = []
    unique = found["unique"].value
    if unique < unique_alarm:
        warnings.append(f"collapse: only {unique:.0%} of the samples are different")
    entropy = found["entropy"].value if "entropy" in found else None
    if entropy is not None and mle_entropy is not None and entropy < entropy_alarm * mle_entropy:
        warnings.append(
            f"collapse: entropy {entropy:.2f} nats per token, {entropy / mle_entropy:.0%} of "
            f"MLE's {mle_entropy:.2f}"
        )
    if oracle_entropy is not None and found["nll_oracle"].value < oracle_entropy:
        warnings.append(
            f"NLL_oracle {found['nll_oracle'].value:.3f} is below the oracle's own entropy "
            f"{oracle_entropy:.3f}: the generator repeats the oracle's likeliest texts"
        )
    return warnings
