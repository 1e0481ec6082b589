"""Bytes become text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.errors import UserError
from textgan.data.decoding import decode
from textgan.data.labelled import read_data


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_utf8_text_is_always_read(text: str) -> None:
    assert decode(text.encode(), Path("a.txt"), "x") == text.removeprefix("\ufeff")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_line_that_is_not_utf8_is_counted_right(
    tmp_path: Path, end: bytes, mark: bytes
) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(mark + b"ab" + end + b"cd" + end + b"\xffe" + end)
    with pytest.raises(UserError, match=r"in line 3 \(byte 0xff\)"):
        read_data(path)
