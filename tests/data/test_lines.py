"""Text files as lines: what ends one, and what is no text."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.errors import UserError
from textgan.data.lines import read_lines, read_text, split_lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_end_is_one(tmp_path: Path, end: str, last: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(end.join(["a b", "", " c", *[""] * last]).encode())
    assert read_lines(path, "data.file") == ["a b", "", " c"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_lone_carriage_return_is_a_space(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(end.join(["a\rb", "c", "d\re", ""]).encode())
    assert read_lines(path, "source") == ["a b", "c", "d e"]
    path.write_bytes(b"a\rb\rc\r")  # of an old system, where these are the line ends
    with pytest.raises(UserError, match=r"carriage returns alone; convert it: tr '\\r' '\\n' < "):
        read_lines(path, "source")


def test_the_hash_is_of_the_bytes_and_not_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(path, "x") == ("a\nb", hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        (b"", "is empty; give one sentence a line"),
        (b" \n\r\n\t", "is empty; give one sentence a line"),
        (b"a\nb\xff\n", "line 2"),
        (b"a\rb\nc\xff\n", "line 2"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as refused:
        read_lines(path, "data.file")
    assert str(refused.value).startswith(f"data.file = {str(path)!r}")


@given(st.lists(st.text(st.characters(exclude_characters="\n")), min_size=1))
def test_lines_that_were_joined_are_split(lines: list[str]) -> None:
    # other characters at which str.splitlines ends a line are part of it
    assert split_lines("".join(f"{line}\n" for line in lines)) == lines
