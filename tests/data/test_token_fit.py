"""Texts that are mostly unknown words, tokens that are no words, spaces that are separators."""

import json
import random
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Cli

from textgan.data.checks import corpus_warnings, different_sentences, unknown_share
from textgan.data.corpus import Corpus, read_corpus
from textgan.data.pre_tokenizer import PreTokenizer
from textgan.data.token_fit import MANY_UNKNOWN, evenly, misfit, spacing

POEMS = [f"{a}{b}{c}{a}{c}" for a in "春夏秋冬" for b in "山水風" for c in "月花鳥"]
ENGLISH = [f"{a} {b} sees the {c}" for a in ("a", "one") for b in ("dog", "cat") for c in "bcdefgh"]
TINY = ["schedule.mle_epochs=1", "generator.hidden=4", "evaluation.samples=10"]
TINY += ["evaluation.final_samples=20", "evaluation.bootstrap=100"]


def read(folder: Path, lines: list[str], min_count: int = 2, vocabulary: int = 0) -> Corpus:
    path = folder / "text.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return read_corpus(
        path, tokens="word", vocabulary=vocabulary, min_count=min_count, length=0, valid=0.1,
        test=0.1, seed=0,
    )  # fmt: skip


def mostly_unknown() -> list[str]:
    return [f"the {' '.join(f'x{9 * i + j}' for j in range(6))} ." for i in range(60)]


# --- unknown words ---


def test_the_share_of_unknown_words_is_counted(tmp_path: Path) -> None:
    corpus = read(tmp_path, mostly_unknown())
    assert unknown_share(corpus) == 6 / 8
    assert different_sentences(corpus) == 1  # once the unknown words are all alike
    (warning,) = corpus_warnings(corpus)
    assert warning.startswith("75% of the words are <unk>")
    known = read(tmp_path, mostly_unknown(), min_count=1)
    # held-out sentences have words that were never seen
    assert 0 < unknown_share(known) < 0.2
    assert different_sentences(read(tmp_path, ENGLISH * 2)) == len(ENGLISH)


def test_noise_over_a_capped_vocabulary_is_warned_of(tmp_path: Path) -> None:
    chance = random.Random(0)
    lines = [" ".join(f"w{chance.randrange(6000)}" for _ in range(8)) for _ in range(300)]
    corpus = read(tmp_path, lines, min_count=1, vocabulary=200)
    assert unknown_share(corpus) > 0.7
    assert "a larger data.vocabulary" in corpus_warnings(corpus)[0]


def test_a_few_unknown_words_are_usual(tmp_path: Path) -> None:
    corpus = read(tmp_path, [*ENGLISH * 4, "a zebra sees the b"])
    assert 0 < unknown_share(corpus) < MANY_UNKNOWN
    assert corpus_warnings(corpus) == []


def test_a_run_shows_and_keeps_what_is_unknown(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown: list[list[str]] = []
    monkeypatch.setattr(
        "textgan.core.log.Log.samples", lambda self, tick, lines: shown.append(lines)
    )
    Path("text.txt").write_text("\n".join(mostly_unknown()))
    flags = ["--out", "run", *TINY, "schedule.rounds=0"]
    code, out, err = cli("train", "mle", "--data", "text.txt", *flags)
    assert code == 0, err
    assert "75.0% of the words are <unk>; 1 sentences are different, as read" in err
    assert "warning: 75% of the words are <unk>, all one symbol" in err
    assert "warning: 75% of the words are <unk>, all one symbol" in " ".join(out.split())
    about = json.loads(Path("run/run.json").read_text())["data"]
    assert (about["unknown"], about["different_sentences"]) == (0.75, 1)
    assert about["warnings"][0].startswith("75%")
    # the texts that people read are those that textgan sample writes
    texts = Path("run/samples.txt").read_text() + "\n".join(line for few in shown for line in few)
    assert shown and "the" in texts and "<unk>" not in texts
    code, out, err = cli("sample", "run")
    assert "warning: 75% of the words that it learnt from are <unk>, which is not written" in err
    code, out, err = cli("sample", "run", "--allow-unknown")
    assert "<unk>" in out and err == ""


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


def test_a_run_names_the_tokens_that_fit(tmp_path: Path) -> None:
    warning = corpus_warnings(read(tmp_path, POEMS * 2))[-1]
    assert warning.startswith("56 of 56 lines are one token each: data.tokens=char fits")


def test_every_command_names_the_tokenizer_that_fits(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labelled = [f"{'ab'[i % 2]}\t{poem}" for i, poem in enumerate(POEMS * 3)]
    Path("poems.txt").write_text("\n".join(POEMS * 2), "utf-8")
    Path("poems.tsv").write_text("\n".join(labelled), "utf-8")
    told = ("evaluate", "poems.txt", "--references", "poems.txt", "--metrics", "length")
    code, out, err = cli(*told, "--json")
    assert code == 0, err
    said = [one for one in json.loads(out)["warnings"] if "one token each" in one]
    assert len(said) == 1 and "72 of 72" in said[0] and "--tokenizer char" in said[0]
    code, out, err = cli(*told, "--tokenizer", "char", "--json")
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
    found = spacing([*spaced, POEMS[0], "月"], "<unk>")
    assert (found.spaced, found.lines, found.decided) == (36, 37, True)
    assert str(found) == "spaces separate characters: they are between all of them in 36 of 37"
    # the odd line is made of characters, too
    assert PreTokenizer("char", " ")("春山 月") == ["春", "山", "月"]


@given(st.lists(st.sampled_from([*"ab春 ", "<unk>"]), min_size=1))
def test_the_unknown_word_is_one_character(parts: list[str]) -> None:
    text = "".join(parts)
    assert PreTokenizer("char", "")(text) == parts
    spaced = [part for part in parts if part != " "]
    assert PreTokenizer("char", " ")(" ".join(parts)) == spaced


def test_the_guess_is_said_and_can_be_overridden(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("\n".join([*(" ".join(p) for p in POEMS), "春夏秋冬"]), "utf-8")
    told = ["train", "mle", "--data", "a.txt", "--tokens", "char", *TINY, "schedule.rounds=0"]
    told += ["data.min_count=1"]
    code, _, err = cli(*told, "--out", "one")
    assert code == 0, err
    assert "spaces separate characters: they are between all of them in 36 of 37 lines" in err
    assert "data.spaced=yes or no" in err
    code, _, err = cli(*told, "--out", "two", "data.spaced=no")
    assert code == 0 and "36 of 37" not in err
    assert " " in json.loads(Path("two/vocabulary.json").read_text("utf-8"))["words"]
    assert " " not in json.loads(Path("one/vocabulary.json").read_text("utf-8"))["words"]
    code, _, err = cli("train", "mle", "--data", "a.txt", "data.spaced=yes")
    assert code == 2 and "data.spaced = yes: it is for data.tokens = char" in err


# --- pictures ---


def test_a_picture_does_not_complain_of_its_font(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    Path("春夏.txt").write_text("\n".join(ENGLISH), "utf-8")
    told = ["train", "mle", "--data", "春夏.txt", *TINY, "schedule.rounds=0", "--out", "run"]
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        code, _, err = cli(*told)
    assert code == 0 and Path("run/curves.png").is_file()
    assert not any("Glyph" in str(one.message) for one in complaints) and "Glyph" not in err
