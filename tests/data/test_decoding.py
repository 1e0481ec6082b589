"""Bytes become text."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from textgan.data.decoding import decode


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_utf8_text_is_always_read(text: str) -> None:
    assert decode(text.encode(), Path("a.txt"), "x") == text.removeprefix("\ufeff")
