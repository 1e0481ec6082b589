"""The settings of a study of classifiers."""

from pathlib import Path

from classified import trained


def test_numbers_may_stand_for_lists(reviews: Path) -> None:
    made = trained(reviews, **{"attack.epsilon": 0.25, "noise.rate": 1, "noise.kind": "swap"})
    assert made.measures == ["clean", "attack 0.25", "swap 1"]
