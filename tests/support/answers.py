"""Texts that answer a source, and a generator of them whose law is written down."""

from dataclasses import replace

import pytest
import torch
from seq2seq import Attention
from worlds import enumerate_texts, texts_of

from textgan.data.text import Condition, Text, TextSpace

SOURCES = TextSpace(4, 2, eos=1)
ANSWERS = TextSpace(5, 3, eos=4, bos=2, pad=3, source=SOURCES)  # no id is where others have it
# as GPT-2 has them, as T5, and as BERT
IDS = [
    TextSpace(4, 3, eos=2, bos=2, pad=2),
    TextSpace(4, 3, eos=1, bos=0, pad=0),
    TextSpace(5, 3, eos=4, bos=2, pad=3),
]
ids = pytest.mark.parametrize("space", IDS, ids=["one id", "two ids", "three ids"])


def sources() -> Text:
    """Two sources, one of them shorter."""
    return texts_of(SOURCES, [(1,), (3, 2)])


def answering() -> Attention:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Attention(ANSWERS).double()


def to_source(texts: Text, source: Text) -> Text:
    """These texts, each in answer to the one source."""
    return replace(texts, condition=Condition(source=source.repeat(len(texts))))


def all_answers(which: int) -> Text:
    """Every text of the space, each in answer to the same source."""
    return to_source(enumerate_texts(ANSWERS), sources()[slice(which, which + 1)])


def both() -> Condition:
    return Condition(torch.tensor([1, 0]), sources())
