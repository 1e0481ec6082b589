"""The settings of an encoder's training."""

import pytest

from textgan.encoders.config import rate_at


def test_the_rate_rises_and_falls() -> None:
    result = [rate_at(update, 10, 0.4) for update in range(10)]
    assert result == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [rate_at(update, 2, 0.0) for update in range(2)] == [1, 0.5]
    assert all(0 < rate_at(update, 7, 1.0) <= 1 for update in range(7))
