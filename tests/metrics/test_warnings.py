"""Warnings of scores: collapse, memorising, and numbers too good to be better."""

import pytest

from textgan.core.score import Score
from textgan.core.statistics import Estimate
from textgan.metrics.warnings import above, warnings_of_row


def score(value: float, width: float | None = 0.0) -> Score:
    ends = () if width is None else (value - width, value + width)
    return Score("title", Estimate(value, *ends), "signature", "higher")


def test_above_is_apart_by_more_than_the_margin() -> None:
    assert above(score(0.7, 0.1), score(0.4, 0.1))
    assert not above(score(0.7, 0.1), score(0.5, 0.1)), "intervals that touch are not apart"
    assert not above(score(0.4), score(0.7))
    assert above(score(0.75), score(0.5), 0.125) and not above(score(0.75), score(0.5), 0.25)
    assert not above(score(0.9, None), score(0.1)) and not above(score(0.9), score(0.1, None))


def test_few_different_texts_are_a_collapse() -> None:
    assert warnings_of_row({"unique": score(0.5)}, {}) == []
    [message] = warnings_of_row({"unique": score(0.25)}, {})
    assert message == "collapse: only 25% of the texts are different"
    assert warnings_of_row({"unique": score(0.25)}, {}, unique_alarm=0.2) == []
    # of which repeating each other is a part
    both = {"unique": score(0.25), "self_bleu4": score(0.9)}
    assert len(warnings_of_row(both, {"self_bleu4": score(0.1)})) == 1


def test_entropy_is_compared_with_that_of_mle() -> None:
    low = {"entropy": score(1.0)}
    assert warnings_of_row(low, {}) == warnings_of_row(low, {}, mle_entropy=2.0) == []
    [message] = warnings_of_row(low, {}, mle_entropy=4.0)
    assert message == "collapse: entropy 1.00 nats per token, 25% of MLE's 4.00"
    assert warnings_of_row(low, {}, mle_entropy=4.0, entropy_alarm=0.2) == []


def test_without_real_text_half_of_the_texts_may_be_known() -> None:
    assert warnings_of_row({"novelty": score(0.5)}, {}) == []
    [message] = warnings_of_row({"novelty": score(0.25)}, {})
    assert message == "memorised: 75.0% of the texts are in the training text"
    [message] = warnings_of_row({"novelty": score(0.25)}, {"novelty": score(0.75)})
    assert message.endswith("the training text, 25.0% of real text")


@pytest.mark.parametrize("aligned", [False, True])
def test_nearer_than_real_text_is_concentrated_unless_texts_answer_an_input(aligned: bool) -> None:
    texts = {f"bleu{n}": score(0.9) for n in (2, 3, 4)}
    real = {f"bleu{n}": score(0.5) for n in (2, 3)}  # nothing is known of the third
    result = warnings_of_row(texts, real, aligned=aligned)
    assert len(result) == (not aligned)
    for message in result:
        assert message.startswith("above real text") and message.count("against 0.500") == 2
