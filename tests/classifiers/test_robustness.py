"""Accuracy on sentences as they are, attacked, and with noise."""

from pathlib import Path

import pytest
import torch
from classified import trained
from torch import Tensor, nn

from textgan.classifiers.robustness import accuracy, correct, in_pieces
from textgan.data.text import Condition, Text, TextSpace
from textgan.models.discriminators.base import Discriminator


def test_no_radius_is_clean_accuracy_where_that_is_poor(reviews: Path) -> None:
    made = trained(reviews, epochs=1, lr=1e-3)
    [one] = made.runs
    assert 0 < one.accuracy["clean"] < 1
    assert one.accuracy["attack 0"] == one.accuracy["clean"] == one.accuracy["drop 0"]


class First(Discriminator):
    """Scores of three labels: those of the first token."""

    def __init__(self, scores: list[list[float]]) -> None:
        super().__init__(TextSpace(len(scores), 3, eos=0, classes=3))
        self.scores = torch.tensor(scores)
        self.output = nn.Linear(1, 3)

    def features(self, text: Text) -> Tensor:
        raise NotImplementedError

    def class_logits(self, text: Text) -> Tensor:
        return self.scores[text.tokens[:, 0]]


def labelled(first: list[int], labels: list[int]) -> Text:
    tokens = torch.zeros(len(first), 3, dtype=torch.long)
    tokens[:, 0] = torch.tensor(first)
    condition = Condition(torch.tensor(labels))
    return Text(tokens, torch.ones(len(first), dtype=torch.long), condition=condition)


def test_a_tie_is_not_right() -> None:
    network = First([[0.0, 0.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    text = labelled([1, 1, 2, 2, 3, 3], [0, 1, 0, 2, 2, 0])
    assert correct(network, text).tolist() == [True, False, False, False, True, False]
    assert accuracy(network, text) == pytest.approx(2 / 6)


def test_pieces_hold_each_row_once_and_are_no_wider_than_need_be() -> None:
    lengths = torch.tensor([5, 1, 3, 2, 5, 4, 1])
    mask = torch.arange(5) < lengths.unsqueeze(1)
    text = Text(torch.arange(1, 36).view(7, 5) * mask, lengths)
    pieces = list(in_pieces(text, torch.device("cpu"), 3))
    assert sorted(torch.cat([rows for rows, _ in pieces]).tolist()) == list(range(7))
    for rows, part in pieces:
        assert len(rows) <= 3
        assert part.tokens.shape[1] == int(lengths[rows].max())
        assert torch.equal(part.tokens, text.tokens[rows, : part.tokens.shape[1]])
    assert list(in_pieces(text[:0], torch.device("cpu"))) == []
