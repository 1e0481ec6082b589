"""Answers to sources of one's own, from Python and by the command."""

import os
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import TOY, Cli, refused
from translated import ENGLISH, GERMAN, LENGTH, german_lines, train_translations, translation

import textgan
from textgan.core.errors import UserError
from textgan.data.text import Condition
from textgan.data.tokenizers import WordTokenizer
from textgan.models.beam import BeamSearch
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.likelihood import log_probs
from textgan.training import translation as module
from textgan.training.run import Run, open_run
from textgan.training.translation import encode, read_sources

LINES = ["ein mann", "hund", "rot hund hut", "ein mann"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("forward") / "run"
    return train_translations(out, **{"schedule.mle_epochs": 20})


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_translations(tmp_path_factory.mktemp("backward") / "run", swapped=True)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return open_run(folder, trust_code=True)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of texts that answer nothing."""
    out = tmp_path_factory.mktemp("texts") / "run"
    textgan.train("mle", out=out, quiet=True, plot=False, **without_adversary())
    return out


def without_adversary() -> dict[str, Any]:
    parts = ("discriminator.", "objective.")
    return {key: value for key, value in TOY.items() if not key.startswith(parts)}


def answers(run: Run | Path, source: Any, **given: Any) -> list[str]:
    return textgan.sample(run, source=source, trust_code=True, **{"quiet": True, **given})


def test_each_source_has_its_line_in_order(
    run: Run, folder: Path, tmp_path: Path, cli: Cli
) -> None:
    expected = [translation(line) for line in LINES]
    assert answers(run, LINES, beam=5) == answers(run, LINES, greedy=True) == expected
    file = tmp_path / "test.de"
    file.write_text("\n".join(LINES))
    assert answers(folder, file, beam=5) == answers(folder, str(file), beam=5) == expected
    options = ("sample", folder, "--source", file, "--trust-code")
    code, out, error = cli(*options, "--beam", 5)
    assert (code, out.splitlines(), error) == (0, expected, "")
    code, out, error = cli(*options, "--greedy", "--out", tmp_path / "test.en")
    assert (code, out, error) == (0, "", f"4 texts in {tmp_path / 'test.en'}\n")
    assert (tmp_path / "test.en").read_text().splitlines() == expected


def test_a_translator_is_loaded_once(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate = textgan.load_translator(folder, trust_code=True)
    assert "mle on pairs" in repr(translate)
    monkeypatch.setattr(Run, "load_generator", None)
    for beam in (1, 5):
        assert translate(LINES, beam=beam) == [translation(line) for line in LINES]
    assert translate([]) == []
    assert translate(LINES, beam=3, max_length=2) == ["a man", "dog", "red dog", "a man"]


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        (LINES, {"beam": 0}, "beam = 0: give a whole number from 1 to 1000"),
        (LINES, {"beam": 2.5}, "beam = 2.5: give a whole number from 1 to 1000"),
        (LINES, {"beam": True}, "beam = True: give a whole number from 1 to 1000"),
        (LINES, {"beam": 10_000}, "beam = 10000: give a whole number from 1 to 1000"),
        (LINES, {"length_penalty": "x"}, "length_penalty = 'x': give a number"),
        (LINES, {"diversity": -1.0}, "diversity = -1.0: give a number"),
        (LINES, {"temperature": 1}, "temperature is no argument of Translator; known: lines, beam"),
        ("hund .", {}, "lines = 'hund .': give one string for each source, a list"),
        (None, {}, "lines = None: give one string for each source, a list"),
        ({"a": "b"}, {}, "lines = {'a': 'b'}: give one string for each source, a list"),
        (LINES, {"greedy": True}, "greedy is no argument of Translator; known: lines, beam, label"),
        ([3], {}, "source: 3 is no text; give a list of strings"),
        (["ein\nmann"], {}, "source: 'ein\\nmann' has several lines; give one string for each"),
    ],
)
def test_a_translator_refuses_what_is_wrong_by_name(
    folder: Path, lines: Any, settings: dict[str, Any], message: str
) -> None:
    translate = textgan.load_translator(folder, trust_code=True)
    with pytest.raises(UserError) as caught:
        translate(lines, **settings)
    assert str(caught.value).startswith(message)


def test_a_translator_warns_of_what_it_does_not_know(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    translate = textgan.load_translator(folder, trust_code=True)
    translate(["qqq zzz"])
    assert "100% of the sources' words are unknown" in capsys.readouterr().err
    translate(["qqq zzz"], quiet=True)
    assert capsys.readouterr().err == ""


def test_sources_may_be_answered_by_drawing(run: Run) -> None:
    drawn = answers(run, LINES, n=3, seed=4, temperature=3.0)
    assert len(drawn) == 12
    assert drawn == answers(run, LINES, n=3, seed=4, temperature=3.0)
    assert drawn != answers(run, LINES, n=3, seed=5, temperature=3.0)
    assert answers(run, LINES, n=2, temperature=1e-3) == [
        text for line in LINES for text in [translation(line)] * 2
    ]
    many = answers(run, ["hund"] * 300, temperature=4.0)
    assert {"<unk>"}.isdisjoint(" ".join(many).split())
    assert "<unk>" in " ".join(answers(run, ["hund"] * 300, temperature=4.0, allow_unknown=True))


def test_an_empty_source_has_an_empty_answer(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["", "hund", "  "]
    for given in ({}, {"beam": 3}, {"greedy": True}):
        assert answers(run, lines, **given) == ["", "dog", ""]
    assert answers(run, lines, beam=3, n=2)[::5] == ["", ""]
    assert answers(run, ["", " "], beam=2) == ["", ""]
    assert not capsys.readouterr().err
    answers(run, lines, beam=3, quiet=False)
    assert capsys.readouterr().err == (
        "warning: 2 of 3 sources are empty, and so are their answers\n"
    )


def test_sources_that_the_run_does_not_know_are_warned_of(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(run, ["ein frau hund hut", "ein mann"], beam=2, quiet=False)
    assert capsys.readouterr().err == (
        "warning: 17% of the sources' words are unknown to the run (<unk>)\n"
    )
    long = ["hund", "ein mann hut hund rot", " ".join(GERMAN * 3)]
    found = answers(run, long, beam=2, quiet=False)
    assert capsys.readouterr().err == (
        "warning: 2 of 3 sources are longer than all of the run's (5 tokens) and are cut there, "
        "the first in line 2\n"
    )
    assert found == answers(run, [" ".join(line.split()[: LENGTH - 1]) for line in long], beam=2)


def test_the_n_best_are_after_their_number_and_score(run: Run, folder: Path, cli: Cli) -> None:
    lines = answers(run, LINES, beam=4, n_best=True, length_penalty=0.5)
    numbers, scores, best = zip(*(line.split("\t") for line in lines), strict=True)
    assert numbers == tuple(str(number) for number in (1, 2, 3, 4) for _ in range(4))
    generator, corpus = run.load_generator(), run.corpus
    assert isinstance(generator, AutoregressiveGenerator) and corpus.source_tokenizer is not None
    source = corpus.source_tokenizer([line for line in LINES for _ in range(4)])
    text = corpus.tokenizer(best)
    text = type(text)(text.tokens, text.lengths, None, Condition(source=source))
    own = log_probs(generator, text) / text.lengths**0.5
    assert list(map(float, scores)) == pytest.approx(own.tolist(), abs=1e-4)
    assert list(best[::4]) == answers(run, LINES, beam=4, length_penalty=0.5)
    assert list(best) == answers(run, LINES, beam=4, n=4, length_penalty=0.5)
    two = answers(run, LINES, beam=4, n=2, n_best=True, length_penalty=0.5)
    assert two == [line for place, line in enumerate(lines) if place % 4 < 2]
    assert answers(run, LINES, beam=4, n=4, diversity=1e6) != list(best)


def test_a_rerank_is_the_mean_of_both_directions(run: Run, swapped: Path) -> None:
    lines = LINES * 2
    given = {"beam": 4, "n_best": True, "length_penalty": 0.0}
    plain, mmi = answers(run, lines, **given), answers(run, lines, rerank=swapped, **given)
    backward = open_run(swapped, trust_code=True)
    generator, corpus = backward.load_generator(), backward.corpus
    assert isinstance(generator, AutoregressiveGenerator) and corpus.source_tokenizer is not None
    expected = []
    for place in range(0, len(plain), 4):
        mixed = []
        for line in plain[place : place + 4]:
            number, score, best = line.split("\t")
            text = corpus.tokenizer([lines[int(number) - 1]])
            source = Condition(source=corpus.source_tokenizer([best]))
            text = type(text)(text.tokens, text.lengths, None, source)
            value = float(log_probs(generator, text) / text.lengths)
            mixed.append((0.5 * float(score) + 0.5 * value, number, best))
        expected += sorted(mixed, reverse=True)
    assert [line.split("\t")[::2] for line in mmi] == [[one[1], one[2]] for one in expected]
    assert [float(line.split("\t")[1]) for line in mmi] == pytest.approx(
        [one[0] for one in expected], abs=1e-3
    )
    assert mmi != plain
    translate = textgan.load_translator(run, rerank=swapped, trust_code=True)
    assert translate(lines, beam=4, length_penalty=0.0) == [one[2] for one in expected[::4]]


def test_without_sources_of_ones_own_a_run_of_pairs_answers_some_of_its_test_part(
    run: Run, swapped: Path
) -> None:
    known = set(run.corpus.decode(run.corpus.test))
    lines = textgan.sample(run, 7, beam=3, trust_code=True, quiet=True)
    assert len(lines) == 7
    read = [line.split("\t") for line in lines]
    assert all(f"{source}\t{reference}" in known for source, _, reference in read)
    assert sum(answer == reference for _, answer, reference in read) >= 5  # it translates well
    drawn = textgan.sample(run, 7, trust_code=True, quiet=True)
    assert all(f"{a}\t{b}" in known for a, _, b in (line.split("\t") for line in drawn))
    assert lines != textgan.sample(run, 7, beam=3, seed=1, trust_code=True, quiet=True)
    assert len(textgan.sample(run, greedy=True, trust_code=True, quiet=True)) == 10
    best = textgan.sample(run, 2, beam=3, n_best=True, trust_code=True, quiet=True)
    assert [line.split("\t")[0] for line in best] == list("111222")
    assert [line.split("\t", 2)[2] for line in best[::3]] == lines[:2]
    assert textgan.sample(run, 2, beam=3, rerank=swapped, trust_code=True, quiet=True)


def test_a_run_without_sources_has_likeliest_texts(texts: Path, cli: Cli) -> None:
    run = open_run(texts)
    generator = run.load_generator()
    assert isinstance(generator, AutoregressiveGenerator)
    found = BeamSearch(width=5)(generator, n=3)
    expected = run.corpus.decode(found.text)
    assert textgan.sample(texts, 3, beam=5) == expected
    code, out, _ = cli("sample", texts, "--beam", 5)
    assert code == 0
    assert out.splitlines()[:3] == expected
    assert len(out.splitlines()) == 5
    scored = textgan.sample(texts, 1, beam=5, n_best=True)
    assert scored == [f"1\t{float(found.score[0, 0]):.4f}\t{expected[0]}"]


def test_each_label_has_its_likeliest_texts(tmp_path: Path) -> None:
    lines = [
        f"{'ab'[i % 2]}\t{'yes' if i % 2 else 'no'} {'so' * (1 + i // 2 % 3)}" for i in range(80)
    ]
    (tmp_path / "labels.tsv").write_text("\n".join(lines))
    settings = {k: v for k, v in without_adversary().items() if not k.startswith("oracle.")}
    textgan.train("mle", data=tmp_path / "labels.tsv", out=tmp_path / "run", quiet=True, plot=False,
                  **settings)  # fmt: skip
    found = textgan.sample(tmp_path / "run", 2, beam=4)
    assert [line.split("\t")[0] for line in found] == ["a", "a", "b", "b"]
    assert textgan.sample(tmp_path / "run", 2, beam=4, label="b") == found[2:]


def test_a_search_for_answers_is_for_one_label(tmp_path: Path, folder: Path) -> None:
    one_epoch = {"schedule.mle_epochs": 1}
    run = open_run(
        train_translations(tmp_path / "run", labelled=True, **one_epoch), trust_code=True
    )
    for search in ({"beam": 2}, {}):
        with pytest.raises(UserError, match=r"has labels; give label=NAME, one of calm, rude$"):
            answers(run, LINES, **search)
    rude = answers(run, LINES, beam=2, label="rude")
    assert len(rude) == len(answers(run, LINES, label="rude")) == 4
    assert textgan.load_translator(run)(LINES, beam=2, label="rude") == rude
    with pytest.raises(UserError, match="has labels; give one without"):
        answers(folder, LINES, beam=2, rerank=run)


CONTRADICTIONS: list[tuple[list[Any], str]] = [
    (["--beam", 3, "--greedy"], "greedy decoding is a beam of 1; leave it or --beam 3 out"),
    (["--n-best"], "n_best is about the texts of a beam; give --beam 5"),
    (["--n-best", "--greedy"], "n_best is about the texts of a beam; give --beam 5"),
    (["--length-penalty", 0.6], "length_penalty is about the texts of a beam; give --beam 5"),
    (["--diversity", 1, "--beam", 1], "diversity is about the texts of a beam; give --beam 5"),
    (["--rerank", "runs/b"], "rerank is about the texts of a beam; give --beam 5"),
    (["--beam", 4, "--temperature", 0.5], "temperature = 0.5 is for texts that are drawn; leave it "
     "or --beam out"),
    (["--beam", 4, "-n", 9], "n = 9: a beam of 4 has no more texts; give --beam 9"),
    (["--beam", -1], "beam = -1: give a whole number from 0 to 1000"),
    (["--beam", 2, "--length-penalty", 100], "length_penalty = 100.0: give a number from -10 "
     "to 10"),
    (["--source", "missing.de"], "source = 'missing.de': there is no such file"),
    (["--source", "pairs.tsv"], "source = 'pairs.tsv': line 2 has a tab; give the sources alone "
     "(cut -f1 FILE.tsv)"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), CONTRADICTIONS, ids=lambda one: str(one)[:30])
def test_contradictions_are_refused_in_one_line(
    options: list[Any],
    message: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.tsv").write_text("hund\nein mann\ta man\n")
    Path("test.de").write_text("hund\n")
    source = [] if "--source" in options else ["--source", "test.de"]
    assert message in refused(cli, "sample", folder, "--trust-code", *source, *options)


def test_runs_that_cannot_answer_are_refused(texts: Path, run: Run, folder: Path, cli: Cli) -> None:
    message = refused(cli, "sample", texts, "--source", texts / "samples.txt", "--beam", 2)
    assert "was trained on texts without sources, so it answers none; leave --source out" in message
    with pytest.raises(UserError, match="without sources"):
        textgan.load_translator(texts)
    with pytest.raises(UserError, match="without sources"):
        answers(run, LINES, beam=3, rerank=texts)


def test_a_rerank_in_another_direction_is_refused_before_it_answers(
    run: Run, swapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of other words; and of the same words on both sides, as dialogues and characters have them,
    where only the pairs tell."""
    monkeypatch.setattr(Run, "load_generator", lambda *given: None)
    words = (
        r"rerank = .*: of .*'s words it cannot read 100% of those of the answers, nor write 100% "
        "of those of the sources; give a run that was trained on swapped pairs"
    )
    with pytest.raises(UserError, match=words):
        textgan.load_translator(run, rerank=run)
    both = WordTokenizer((*GERMAN, *ENGLISH), length=LENGTH)

    def of_one_vocabulary(run: Run) -> Run:
        ours, source = run.corpus, run.corpus.train.condition.require_source()
        assert ours.source_tokenizer is not None
        train = replace(
            both(ours.tokenizer.decode(ours.train.tolist())),
            condition=Condition(source=both(ours.source_tokenizer.decode(source.tolist()))),
        )
        corpus = replace(ours, tokenizer=both, source_tokenizer=both, train=train)
        return replace(run, corpus=corpus)

    here, back = map(of_one_vocabulary, (run, open_run(swapped, trust_code=True)))
    assert textgan.load_translator(here, rerank=back).backward is not None
    number = len({*zip(german_lines()[:50], map(translation, german_lines()), strict=False)})
    with pytest.raises(UserError, match=rf": {number} of their pairs are the same and 0 swapped;"):
        textgan.load_translator(here, rerank=here)


def test_sources_may_come_from_a_pipe_or_the_standard_input(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    expected = [translation(line) for line in LINES]
    reads, writes = os.pipe()
    os.write(writes, "\n".join(LINES).encode())
    os.close(writes)
    try:
        assert answers(run, f"/dev/fd/{reads}", beam=5) == expected
    finally:
        os.close(reads)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO("\n".join(LINES).encode())))
    code, out, _ = cli("sample", folder, "--source", "-", "--greedy", "--trust-code")
    assert (code, out.splitlines()) == (0, expected)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"")))
    with pytest.raises(UserError, match="source = '-' is empty"):
        answers(run, "-")


def test_a_file_of_a_run_is_no_run_and_a_beams_texts_are_no_sources(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    message = f"run.json' is a file of the run '{folder}'; a run is a folder made by textgan train"
    with pytest.raises(UserError, match=message):
        textgan.load_translator(folder / "run.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file' is a file; a run is a folder"):
        textgan.load_translator(tmp_path / "file")
    best = answers(run, LINES, beam=2, n_best=True)
    with pytest.raises(UserError, match=r"source holds the texts of a beam \(--n-best\)"):
        answers(run, best)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UserError, match="source: 3 is no text; give a list of strings"):
        read_sources(["hund", 3])  # type: ignore[list-item]
    with pytest.raises(UserError, match="source: line 2 has a tab"):
        read_sources(["hund", "a\tb"])


def test_a_cut_source_keeps_its_end_and_an_oracles_are_numbers() -> None:
    tokenizer = WordTokenizer(GERMAN, length=4)
    ids, cut = encode(tokenizer, ["ein mann hut hund", "ein mann hut"])
    assert (ids, cut) == ([[3, 4, 5], [3, 4, 5]], [0])
    assert tokenizer.pad(ids).tokens[:, -1].tolist() == [1, 1]
    numbers = WordTokenizer.numbers(5, 3)
    assert encode(numbers, ["4 0 1"]) == ([[4, 0, 1]], [])
    for wrong in ("4 0", "4 0 5", "a b c", ""):
        with pytest.raises(UserError, match=r"line 2 .* 3 numbers from 0 to 4"):
            encode(numbers, ["0 0 0", wrong])


def test_a_long_file_shows_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    def bar(steps: Any, what: str, quiet: bool) -> Any:
        shown.append((len(steps), what, quiet))
        return steps

    monkeypatch.setattr(module, "bar", bar)
    monkeypatch.setattr("textgan.models.beam.AT_ONCE", 100)
    answers(run, LINES * 30, beam=5, quiet=False)
    answers(run, LINES * 200)
    assert shown == [(6, "beam search", False), (2, "sampling", True)]
    assert torch.is_grad_enabled()
