"""The one way in for files and the one way out: hostile files, full disks, killed writers."""

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textgan.core import files
from textgan.core.errors import UserError
from textgan.core.files import (
    NoSyntax,
    append_line,
    file_digest,
    parse_json,
    parse_toml,
    read_bytes,
    read_json,
    read_text,
    require_writable,
    understood,
    write_file,
)


def message(function: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(UserError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- reading --------------------------------------------------------------------------------------


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        cases = {"pipe": "a pipe", "socket": "a socket", ".": "a folder", "none": "no such file"}
        for name, what in cases.items():
            for read in (read_bytes, read_text, read_json, file_digest):
                output = message(read, tmp_path / name)
                assert what in output and str(tmp_path / name) in output
    assert "a pipe" in message(append_line, tmp_path / "pipe", "a line")  # nor is it written to
    assert "a device" in message(read_bytes, Path("/dev/zero"))
    assert "Not a directory" in message(read_bytes, tmp_path / "pipe" / "x")
    assert "cannot be read" in message(read_bytes, Path("a\0b"))
    assert "too long" in message(read_bytes, tmp_path / ("x" * 300))


def test_no_more_is_read_than_is_sensible(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"12345")
    assert read_bytes(path, most=5) == b"12345"
    assert message(read_bytes, path, "--data", 4) == (
        "--data is too large: more than 4 bytes are not read"
    )
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file: a terabyte that takes no room
    assert "too large" in message(read_bytes, path)
    assert "too large" in message(read_json, path)


def test_text_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffé".encode())
    assert read_text(path) == "é"
    path.write_bytes(b"ab\xff")
    assert "not UTF-8 (byte 2 is 0xff)" in message(read_text, path)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 900 + "]" * 900, "more than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "more than 64 levels"),
        ('{"seed": ' + "9" * 5000 + "}", "thousands of digits"),
        ("[-" + "9" * 100 + "]", "more than 64 digits"),
        ("{", "not JSON"),
        ("", "not JSON"),
    ],
)
def test_absurd_json_is_refused(text: str, output: str) -> None:
    assert output in message(parse_json, text, "x.json")


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("a." * 100_000 + "b = 1", "32 parts"),
        ("a." * 100_000 + "b", "32 parts"),
        ("[" + "a." * 100_000 + "b]", "32 parts"),
        ("x = {" + "a." * 100_000 + "b = 1}", "32 parts"),
        ("x = {y = 1, " + "a . " * 100_000 + "b = 1}", "32 parts"),
        ("a." * 100_000, "32 parts"),
        ("x = " + "[" * 900 + "]" * 900, "64 levels"),
        ("x = " + "{a = " * 900 + "1" + "}" * 900, "64 levels"),
        ("x = [[[[", "not TOML"),
        ("x = " + "9" * 5000, "thousands of digits"),
        ("x = 0x" + "f" * 5000, "more than 64 digits"),
        ('x = "' + '\\"' * 300_000, "not TOML"),
        ('x = """' + '\\"' * 300_000, "not TOML"),
        ("x = " + "'''y" * 100_000, "not TOML"),
        ("#" * 2**21, "too large"),
    ],
)
def test_absurd_toml_is_refused_at_once(text: str, output: str) -> None:
    began = time.monotonic()
    assert output in message(parse_toml, text, "x.toml")
    assert time.monotonic() - began < 2


def test_sensible_toml_and_json_are_read() -> None:
    dots = ".".join("x" * 40)
    told = f'# {dots}\nx = "{dots}"\ny = [{", ".join(["0.5"] * 99)}]\n[a."{dots}".c]\n'
    told += 'z = """[[["""\n'
    made = parse_toml(told, "x")
    assert made["x"] == dots and len(made["y"]) == 99 and made["a"][dots]["c"] == {"z": "[[["}
    assert parse_json('{"a": [1, {"b": 1e400}]}', "x")["a"][0] == 1
    assert parse_json("9" * 64, "x") == int("9" * 64)
    with pytest.raises(NoSyntax):
        parse_toml("x = word", "x")


def test_what_a_reader_stumbles_over_is_the_files_fault() -> None:
    for error in (KeyError("a"), TypeError("b"), IndexError(), RecursionError(), ValueError("\n")):
        output = r"^f is damaged \(\w+: .+\); delete it$"
        with pytest.raises(UserError, match=output), understood(Path("f"), "delete it"):
            raise error
    with pytest.raises(UserError, match="as it was"), understood(Path("f")):
        raise UserError("as it was")


# --- writing --------------------------------------------------------------------------------------


def test_a_written_file_is_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_failed_write_is_one_line_and_leaves_nothing(
    code: int, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    write_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code), "somewhere else")

    with monkeypatch.context() as changed:
        changed.setattr(os, "fsync", fail) if when == "fsync" else changed.setattr(
            Path, "replace", fail
        )
        output = message(write_file, path, b"new")
    assert output.startswith(f"{path} cannot be written: {os.strerror(code)}")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_stopped_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "x", b"new")
    assert not list(tmp_path.iterdir())


def test_nothing_but_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, what in {"folder": "a folder", "pipe": "a pipe"}.items():
        for function, rest in ((write_file, (b"",)), (require_writable, ())):
            assert f"it is {what}" in message(function, tmp_path / name, *rest)
    assert "a device" in message(write_file, Path("/dev/null"), b"")
    assert "No such file" in message(write_file, tmp_path / "none" / "x", b"")
    assert "No such file" in message(require_writable, tmp_path / "none" / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_what_killed_writers_left_is_removed_at_the_next_write(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    sleeping = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        dead, alive = ended.pid, sleeping.pid
        gone = [f"x.{dead}.partial", f"metrics.jsonl.{dead}.partial", "x.999999999.partial"]
        stay = [f"metrics.jsonl.{alive}.partial", f"film.mkv.{dead}.partial", "x.partial", "y.txt"]
        old = tmp_path / f"curve.json.{alive}.partial"
        for name in [*gone, *stay, old.name]:
            (tmp_path / name).write_bytes(b"part")
        (tmp_path / f"folder.txt.{dead}.partial").mkdir()
        os.utime(old, (0, 0))
        write_file(tmp_path / "x", b"whole")
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {*stay, "x", f"folder.txt.{dead}.partial"}
    finally:
        sleeping.communicate(b"\n")


def test_whether_a_file_can_be_written_is_asked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_writable(tmp_path / "x.json")
    assert not list(tmp_path.iterdir())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    output = message(require_writable, tmp_path / "x.json")
    assert "No space left" in output and "make room" in output
    assert not list(tmp_path.iterdir())


def test_an_error_that_nobody_met_names_its_file() -> None:
    with pytest.raises(UserError, match="/a/b: Permission denied"), files.system_errors():
        raise PermissionError(errno.EACCES, "Permission denied", "/a/b")
    with pytest.raises(BrokenPipeError), files.system_errors():
        raise BrokenPipeError
