"""Broken promises of generators and discriminators."""

import pytest
from parts import NETWORKS
from promises import assert_broken
from worlds import WORLDS, enumerate_texts

from textgan.contracts.of_networks import enumerated
from textgan.data.text import TextSpace

# a part, and what of it is changed: which promise fails, and why
BROKEN = {
    "a likelihood that is none": (
        NETWORKS, "Window",
        "def log_prob(self, text): return super().log_prob(text) - 0.1",
        "probabilities sum to one", "sum to",
    ),
    "texts of another law": (
        NETWORKS, "Window",
        "def sample(self, n, **told):\n"
        "    from textgan.data.text import Text\n"
        "    text = super().sample(n, **told)\n"
        "    return Text.ended(text.tokens * 0 + 2, self.space)",
        "texts are drawn as its likelihood says", "other frequencies",
    ),
    "another law word by word": (
        NETWORKS, "Window",
        "def read(self, symbol, state):\n"
        "    return 0.5 * self.embedding(symbol), state",
        "word by word as all at once", "than forward",
    ),
    "normalised over the batch": (
        NETWORKS, "Window",
        "def forward(self, text):\n"
        "    logits = super().forward(text)\n"
        "    return logits - logits.std(0) if len(text) > 1 else logits",
        "a text does not depend on its batch", "other texts of the batch",
    ),
    "padding that counts": (
        NETWORKS, "Bag", "pass", "padding never changes a score", "text.mask",
    ),
    "a batch's mean": (
        NETWORKS, "Bag",
        "def features(self, text):\n"
        "    found = super().features(text)\n"
        "    return found - found.mean(0)",
        "a text does not depend on its batch", "other texts of the batch",
    ),
    "a source that nobody reads": (
        NETWORKS, "Bag", "reads_source = True", "the source matters", "whatever the source is",
    ),
    "padding of a source that counts": (
        NETWORKS, "Bag",
        "reads_source = True\n"
        "def features(self, text):\n"
        "    return self.embedding(text.source.tokens % 4).mean(1)",
        "padding never changes a score", "the padding of the source",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_found(case: str) -> None:
    assert_broken(*BROKEN[case])


@pytest.mark.parametrize("space", WORLDS, ids=["fixed", "variable"])
def test_every_text_is_enumerated_once(space: TextSpace) -> None:
    result, expected = (
        sorted(zip(texts.tokens.tolist(), texts.lengths.tolist(), strict=True))
        for texts in (enumerated(space), enumerate_texts(space))
    )
    assert result == expected
