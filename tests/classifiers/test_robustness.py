"""Accuracy on sentences as they are, attacked, and with noise."""

from pathlib import Path

from classified import trained


def test_no_radius_is_clean_accuracy_where_that_is_poor(reviews: Path) -> None:
    made = trained(reviews, epochs=1, lr=1e-3)
    [one] = made.runs
    assert 0 < one.accuracy["clean"] < 1
    assert one.accuracy["attack 0"] == one.accuracy["clean"] == one.accuracy["drop 0"]
