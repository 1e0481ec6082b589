"""Checks of what a command or a function is given, the same for both."""

from __future__ import annotations

from textgan.errors import UserError

SEEDS = (0, 2**62)
TEMPERATURES = (1e-4, 1e4)


def number_from(name: str, value: float, limits: tuple[float, float]) -> None:
    """UserError that names the value and the limits where it is outside of them, or no number."""
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{name} = {value!r}: give a number from {low:g} to {high:g}")
