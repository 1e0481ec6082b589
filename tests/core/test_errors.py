"""What messages call a value that is wrong."""

import numpy as np
import pytest
import torch

from textgan.core.errors import NotKept, UserError, described


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        (True, "True"),
        (3, "an int"),
        (2.5, "a float"),
        ("text", "a str"),
        ((1, "b"), "a tuple of 2"),
        ([], "a list of 0"),
        ({"a": 1}, "a dict"),
        (torch.zeros(2, 3), "a Tensor of shape (2, 3)"),
        (np.zeros(()), "a ndarray of shape ()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_is_described_by_its_type_and_shape(value: object, words: str) -> None:
    assert described(value) == words


def test_what_could_not_be_kept_is_in_the_error() -> None:
    with pytest.raises(UserError, match="the disk is full") as caught:
        raise NotKept("the disk is full", {"bleu": 0.5})
    assert isinstance(caught.value, NotKept) and caught.value.made == {"bleu": 0.5}
