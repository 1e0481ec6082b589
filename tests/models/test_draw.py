"""Many texts are drawn in pieces, each for its condition."""

import torch
from worlds import FIXED, Uniform

from textgan.data.text import Condition
from textgan.models.draw import draw_texts


def test_drawing_many_texts_goes_in_pieces_and_keeps_the_labels() -> None:
    generator = Uniform(FIXED)
    labels = torch.arange(5000)
    text = draw_texts(generator, 5000, condition=Condition(labels))
    assert generator.steps == 2 * FIXED.length
    assert text.tokens.shape == (5000, 3)
    assert text.labels is not None
    assert torch.equal(text.labels, labels)
