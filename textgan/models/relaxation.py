"""Relaxed texts in answer to real ones, for methods whose gradient flows through the rows."""

from __future__ import annotations

from textgan.data.text import Text
from textgan.models.generators.base import AutoregressiveGenerator, Generator
from textgan.models.sampling import gumbel, softmax


def relaxed_texts(
    generator: Generator, real: Text, temperature: float, *, reads_words: bool = False
) -> Text:
    """Draw one relaxed text for each real one, with rows (B, T, V) through which gradients flow.

    An autoregressive generator gets its randomness from Gumbel noise at this temperature: by plain
    softmax it would write one and the same relaxed text every time. A generator that starts from
    noise needs none. reads_words: see AutoregressiveGenerator.sample.
    """
    if isinstance(generator, AutoregressiveGenerator):
        return generator.sample(
            len(real),
            choose=gumbel(temperature),
            condition=real.condition,
            reads_words=reads_words,
        )
    return generator.sample(len(real), choose=softmax, condition=real.condition)
