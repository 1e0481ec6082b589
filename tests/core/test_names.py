"""Names as messages and tables have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.names import join_names, short_repr, suggest, title, unique_names
from textgan.objectives.seqgan import SeqGAN


def test_a_part_of_textgan_is_its_class_and_another_one_names_its_file() -> None:
    assert title(SeqGAN) == "SeqGAN"
    assert title(type("Own", (SeqGAN,), {"__module__": __name__})) == "test_names.py:Own"


def test_what_is_spelt_alike_is_suggested() -> None:
    assert suggest("rollout", ["rollouts", "chunk"]) == "; did you mean 'rollouts'?"
    assert suggest("xyz", ["rollouts", "chunk"]) == suggest("rollout", []) == ""


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        ([1, 2], "1 and 2"),
    ],
)
def test_a_list_of_names_ends_with_and(names: list[object], joined: str) -> None:
    assert join_names(names, 3) == joined


def test_equal_names_are_numbered_in_their_order() -> None:
    assert unique_names(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]
    assert unique_names([]) == []


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists), st.integers(10, 99))
def test_a_value_is_short_and_on_one_line(value: object, longest: int) -> None:
    shown = short_repr(value, longest)
    assert len(shown) <= longest and "\n" not in shown
    assert " ".join(repr(value).split()) in (shown, repr(value)) or shown.endswith("...")


def test_what_cannot_be_shown_is_said_to_be_too_large() -> None:
    assert short_repr(10**9999) == "a int too large to be shown"
