"""Numbers and paths, short."""

import pytest

from textgan.core.format import basename, format_number


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/home/me/runs/x", "x"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("data.file=/home/me/x.txt", "data.file=x.txt"),
        ("--out=/a/b", "--out=b"),
        ("runs/x", "runs/x"),
        ("a=b=/c/d", "a=b=d"),
        ("/a/mine.py:Class", "mine.py:Class"),
        ("and/or", "and/or"),
        ("/home/my name/of two words.txt", "of two words.txt"),
        ("", ""),
    ],
)
def test_paths_of_the_machine_are_cut(word: str, expected: str) -> None:
    assert basename(word) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, "3"), (10_000, "10,000"), (0.12345, "0.123"), (-1.5, "−1.500"), (0.00012, "1.2e−04"),
     (123.456, "123.5"), (0.0, "0.000"), (98765.4, "98,765"), (True, "True"), ("x", "x")],
)  # fmt: skip
def test_numbers_are_short(value: object, expected: str) -> None:
    assert format_number(value) == expected
