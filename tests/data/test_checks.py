"""What a reader of a run's numbers should know of its text."""

import json
import random
from pathlib import Path

import pytest
from corpora import corpus_of
from dialogues import chained, dialogues, tsv, written
from lines import ENGLISH, POEMS, TINY
from toys import Cli

from textgan.data.checks import corpus_warnings, different_pairs, different_sentences, unknown_share
from textgan.data.corpus import Corpus
from textgan.data.token_fit import MANY_UNKNOWN


def read(folder: Path, lines: list[str], min_count: int = 2, vocabulary: int = 0) -> Corpus:
    path = folder / "text.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return corpus_of(path, vocabulary=vocabulary, min_count=min_count)


def mostly_unknown() -> list[str]:
    return [f"the {' '.join(f'x{9 * i + j}' for j in range(6))} ." for i in range(60)]


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


def test_a_run_names_the_tokens_that_fit(tmp_path: Path) -> None:
    warning = corpus_warnings(read(tmp_path, POEMS * 2))[-1]
    assert warning.startswith("56 of 56 lines are one token each: data.tokens=char fits")


def test_sides_that_cannot_be_meant_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(ENGLISH))
    (warning,) = corpus_warnings(corpus_of(path, source=str(path)))
    assert warning == "100% of the targets equal their source; is one file given for both sides?"
    poems = tmp_path / "poems.txt"
    poems.write_text("\n".join((POEMS * 2)[: len(ENGLISH)]))
    (warning,) = corpus_warnings(corpus_of(path, source=str(poems)))
    assert warning.startswith("of the sources, 2")
    assert "lines are one token each: data.tokens=char" in warning
    rare = tmp_path / "rare.tsv"
    rare.write_text("".join(f"ask of x{i}\t{line}\n" for i, line in enumerate(ENGLISH)))
    (warning,) = corpus_warnings(corpus_of(tmp_path, file="", pairs=str(rare), min_count=2))
    assert warning.startswith("33% of the words of the sources are <unk>; try a smaller")


def test_held_out_pairs_that_are_in_training_are_warned_of(tmp_path: Path) -> None:
    alike = [["how are you", "fine thanks", "good to hear", f"bye {i}"] for i in range(60)]
    path = written(tmp_path, chained(alike), "alike.tsv")
    valid, test = corpus_warnings(corpus_of(tmp_path, file="", pairs=str(path)))
    expected = "67% of the pairs of the test part are in training, too: what was learnt by heart"
    assert test == f"{expected} scores well there; data.split_by=source parts them"
    assert "valid part" in valid
    settings = {"file": "", "split_by": "conversation"}
    pairs = written(tmp_path, [f"ask {i}\t{line}" for i, line in enumerate(ENGLISH)], "apart.tsv")
    (warning,) = corpus_warnings(corpus_of(tmp_path, pairs=str(pairs), **settings))
    assert warning.startswith("no line goes on from the one before")
    assert warning.endswith("or leave data.split_by=conversation out")
    path = written(tmp_path, chained(dialogues()), "others.tsv")
    assert not corpus_warnings(corpus_of(tmp_path, pairs=str(path), **settings))
    assert not corpus_warnings(corpus_of(tmp_path, file="", pairs=str(path)))


def test_pairs_are_counted_by_both_sides(tmp_path: Path) -> None:
    pairs = [("say" + " so" * (i % 20), "no" + " yes" * (i % 10)) for i in range(60)]
    corpus = corpus_of(Path(), file="", pairs=str(tsv(tmp_path, pairs)))
    assert different_pairs(corpus) == {"sources": 20, "targets": 10, "pairs": 20}
    assert different_sentences(corpus) == 10
