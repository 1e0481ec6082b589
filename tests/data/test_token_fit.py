"""Texts that are mostly unknown words, tokens that are no words, spaces that are separators."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lines import ENGLISH, POEMS, TINY
from toys import Cli

from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.token_fit import evenly, misfit, spacing

# --- tokens ---


def test_lines_of_one_token_do_not_fit() -> None:
    assert misfit(POEMS, [1] * 36) == "36 of 36 lines are one token each"
    assert misfit([*POEMS, *ENGLISH], [1] * 36 + [5] * 28) == "36 of 64 lines are one token each"
    assert misfit([*POEMS[:10], *ENGLISH], [1] * 10 + [5] * 28) == ""
    assert misfit(["yes", "no", "oh"] * 9, [1] * 27) == ""  # short answers
    assert misfit([], []) == misfit(["", " "], [0, 0]) == ""
    # clauses are no words either
    assert "100% of the characters are of a script without spaces, and tokens have 5.0" in misfit(
        [f"{a} {b}" for a, b in pairwise(POEMS)], [2] * 35
    )
    assert misfit([" ".join((p[:2], p[2], p[3:])) for p in POEMS], [3] * 36) == ""  # words
    assert misfit([" ".join(p) for p in POEMS], [5] * 36) == ""
    thai = ["ฉันชอบกินข้าว และดื่มน้ำเปล่าทุกวัน"] * 9
    assert "tokens have" in misfit(thai, [2] * 9)
    assert misfit(["ฉัน ชอบ กิน ข้าว และ ดื่ม น้ำ"] * 9, [7] * 9) == ""


def test_judged_lines_are_spread() -> None:
    assert list(evenly(range(4))) == [0, 1, 2, 3]
    assert len(evenly(range(20_001))) == 4001
    assert max(evenly(range(20_000))) > 19_000


@given(st.lists(st.lists(st.sampled_from([*"ab春", "<unk>", "ab"]), max_size=4)))
def test_lines_are_spaced_out_where_every_word_is_a_character(rows: list[list[str]]) -> None:
    telling = [row for row in rows if len("".join(row)) > 1]
    spaced = sum(all(len(word) == 1 or word == "<unk>" for word in row) for row in telling)
    assert spacing([" ".join(row) for row in rows], "<unk>") == (spaced, len(telling))


def test_every_command_names_the_tokenizer_that_fits(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labelled = [f"{'ab'[i % 2]}\t{poem}" for i, poem in enumerate(POEMS * 3)]
    Path("poems.txt").write_text("\n".join(POEMS * 2), "utf-8")
    Path("poems.tsv").write_text("\n".join(labelled), "utf-8")
    arguments = ("evaluate", "poems.txt", "--references", "poems.txt", "--metrics", "length")
    code, out, err = cli(*arguments, "--json")
    assert code == 0, err
    message = [one for one in json.loads(out)["warnings"] if "one token each" in one]
    assert len(message) == 1 and "72 of 72" in message[0] and "--tokenizer char" in message[0]
    code, out, err = cli(*arguments, "--tokenizer", "char", "--json")
    assert not any("one token" in one for one in json.loads(out)["warnings"])
    small = ["network.hidden=4", "network.embedding=4", "epochs=1", "data.min_count=1"]
    code, out, err = cli("classify", "poems.tsv", "--seeds", 1, "--perturb", "none", *small)
    assert code == 0, err
    assert "lines are one token each: data.tokens=char fits" in " ".join(out.split())
    where = ["--data", "poems.tsv", "--out", "encoder", "--network", "rnn"]
    code, _, err = cli("encode", "simcse", *where, *small)
    assert code == 2 and "a contrast takes two" in err  # held-out words are unknown
    assert "lines are one token each: data.tokens=char fits" in err
    repeated = [f"{poem} {poem}" for poem in POEMS for _ in range(2)]
    Path("poems.tsv").write_text("\n".join([f"a\t{p}" for p in repeated] + labelled), "utf-8")
    code, out, err = cli("encode", "scal", *where, *small)
    assert code == 0, err
    assert "data.tokens=char fits" in err and "data.tokens=char fits" in out


# --- spaced characters ---


def test_one_odd_line_flips_no_guess() -> None:
    spaced = [" ".join(poem) for poem in POEMS]
    assert PreTokenizer.of(spaced, "char").separator == " "
    assert PreTokenizer.of([*spaced, POEMS[0], "page 12"], "char").separator == " "
    assert PreTokenizer.of([*POEMS, spaced[0]], "char").separator == ""
    assert PreTokenizer.of([*spaced, POEMS[0]], "char", "no").separator == ""
    assert PreTokenizer.of(POEMS, "char", "yes").separator == " "
    assert PreTokenizer.of(["月", "花"], "char").separator == ""
    result = spacing([*spaced, POEMS[0], "月"], "<unk>")
    assert (result.spaced, result.lines, result.decided) == (36, 37, True)
    assert str(result) == "spaces separate characters: they are between all of them in 36 of 37"
    # the odd line is made of characters, too
    assert PreTokenizer("char", " ")("春山 月") == ["春", "山", "月"]


def test_the_guess_is_said_and_can_be_overridden(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("\n".join([*(" ".join(p) for p in POEMS), "春夏秋冬"]), "utf-8")
    arguments = ["train", "mle", "--data", "a.txt", "--tokens", "char", *TINY, "schedule.rounds=0"]
    arguments += ["data.min_count=1"]
    code, _, err = cli(*arguments, "--out", "one")
    assert code == 0, err
    assert "spaces separate characters: they are between all of them in 36 of 37 lines" in err
    assert "data.spaced=yes or no" in err
    code, _, err = cli(*arguments, "--out", "two", "data.spaced=no")
    assert code == 0 and "36 of 37" not in err
    assert " " in json.loads(Path("two/vocabulary.json").read_text("utf-8"))["words"]
    assert " " not in json.loads(Path("one/vocabulary.json").read_text("utf-8"))["words"]
    code, _, err = cli("train", "mle", "--data", "a.txt", "data.spaced=yes")
    assert code == 2 and "data.spaced = yes: it is for data.tokens = char" in err
