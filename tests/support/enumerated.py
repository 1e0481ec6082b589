"""Generators whose likelihoods are summed by hand."""

import math
from typing import Any

import torch
from torch import Tensor

from textgan.core.seeds import fork_rng
from textgan.data.sentences import Sentences
from textgan.data.text import Text
from textgan.data.tokenizers import WordTokenizer
from textgan.metrics.base import MetricInputs, Models
from textgan.models.draw import draw_texts
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.sampling import Categorical

NOTHING = Sentences(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))


def material_of(models: Models | None, **changes: Any) -> MetricInputs:
    """Nothing but models."""
    return MetricInputs(
        tokenizer=WordTokenizer.numbers(2, 2),
        predictions=NOTHING,
        lines=[],
        references=NOTHING,
        sample=NOTHING,
        paired_sample=NOTHING,
        paired_references=NOTHING,
        models=models,
        **changes,
    )


def drawn(
    generator: AutoregressiveGenerator, n: int, seed: int = 0, temperature: float = 1.0
) -> Text:
    with fork_rng(seed, torch.device("cpu")):
        return draw_texts(generator, n, Categorical(temperature))


def models_of(
    generator: AutoregressiveGenerator | None,
    oracle: AutoregressiveGenerator | None,
    n: int = 60,
    temperature: float = 1.0,
) -> Models:
    writer, real = generator or oracle, oracle or generator
    assert writer is not None and real is not None
    return Models(
        generator, oracle, drawn(writer, n, 1, temperature), drawn(real, n + 7, 2), temperature
    )


def by_hand(model: AutoregressiveGenerator, text: Text, temperature: float = 1.0) -> Tensor:
    """log P of every sentence, word by word."""
    values = []
    with torch.no_grad():
        for sentence, size in zip(text.tokens, text.lengths.tolist(), strict=True):
            state, symbol, total = model.start(1), torch.zeros(1, dtype=torch.long), 0.0
            for token in sentence[:size]:
                logits, state = model.step(symbol, state)
                weights = (logits[0] / temperature).exp()
                total += math.log(weights[token] / weights.sum())
                symbol = token[None]
            values.append(total)
    return torch.tensor(values, dtype=torch.float64)
