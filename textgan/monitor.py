"""What is watched of a generator while it trains and in the table at the run's end.

Cheap enough for every epoch and round; `textgan evaluate` measures everything else
(`textgan.metrics`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from textgan.corpus import Corpus
from textgan.generators.base import AutoregressiveGenerator, Generator, draw_texts
from textgan.intervals import Estimate
from textgan.likelihoods import nll_per_token
from textgan.ngrams import ngram_jsds
from textgan.sampling import Categorical, seeded
from textgan.text import Text


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
    choose = None if temperature == 1.0 else Categorical(temperature)
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
