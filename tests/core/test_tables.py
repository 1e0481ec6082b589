"""Tables of any width, and results that show themselves."""

import html
import os
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scores import ROWS, row, score

from textgan.core.statistics import holm
from textgan.core.tables import Shown, Table, filled, terminal_width
from textgan.evaluation.comparison import Comparison, among_all, compare_scores
from textgan.evaluation.results import Evaluation
from textgan.evaluation.temperature_sweep import Sweep
from textgan.training.results import Results

WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=9)
CELLS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=2, max_size=6)
    ),
    st.integers(30, 120),
)
def test_a_table_fits_and_loses_nothing(cells: list[list[str]], width: int) -> None:
    headers, *rows = cells
    made = Table(headers, rows).text(width)
    assert widest(made) <= width
    letters = "".join(cell for line in [headers[1:], *(row[1:] for row in rows)] for cell in line)
    for letter in set(letters) - {" "}:
        assert made.count(letter) >= letters.count(letter)


def test_a_wide_table_stays_and_a_narrow_one_is_stacked() -> None:
    body = [["BLEU-2", *["0.123 [0.100, 0.150]"] * 3]]
    table = Table(["", "real text", "MLE, best epoch", "seqgan, last"], body)
    assert len(table.text(120).splitlines()) == 3
    assert table.text(60).splitlines() == [
        "        real text       MLE, best       seqgan, last",
        "                        epoch",
        "------  --------------  --------------  --------------",
        "BLEU-2  0.123           0.123           0.123",
        "        [0.100, 0.150]  [0.100, 0.150]  [0.100, 0.150]",
    ]
    blocks = table.text(30).split("\n\n")
    assert len(blocks) == 3 and all(block.count("BLEU-2") == 1 for block in blocks)


def test_numbers_stand_to_the_right() -> None:
    assert Table(["part", "work", "s"], [["a", "b", "1"], ["c", "d", "100"]], texts=2).text(80) == (
        "part  work    s\n----  ----  ---\na     b       1\nc     d     100"
    )


def test_the_width_is_the_terminals_or_what_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "133")
    assert terminal_width() == 133
    for nothing in ("", "0", "wide", "-5"):
        monkeypatch.setenv("COLUMNS", nothing)
        monkeypatch.setattr(os, "get_terminal_size", _refuses)
        assert terminal_width() == 80
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((101, 50)))
    assert terminal_width() == 101


def _refuses(_: int) -> os.terminal_size:
    raise OSError("not a terminal")


def test_sentences_are_filled() -> None:
    assert widest(filled("word " * 50, 40)) <= 40
    assert filled("see " + "x" * 60, 40).endswith("x" * 60)  # a path stays whole


def shown() -> list[Shown]:
    scores = {key: score(2.4, "lower") for key in ("nll_test", "nll_valid", "entropy")}
    names = ["oracle", "random tokens", "MLE, best epoch (18 of 20)", "seqgan, last"]
    temperatures = (1.25, 1.111, 1.0, 0.909, 0.8, 0.667, 0.5)
    pair = compare_scores(ROWS["MLE, best epoch"], ROWS["seqgan, last"], names=("MLE", "seqgan"))
    named = replace(pair, a="runs/seqgan-captions-1", b="runs/mle-captions-12")
    evaluation = Evaluation(
        ROWS, "real, held out", {"divergence": "needs an oracle"}, ["seqgan, last: too good"],
        {"seconds": 3.0, "peak_memory_mib": 300.0},
    )  # fmt: skip
    return [
        Results(dict.fromkeys(names, scores | {"unique": score(1.0, "higher")}), samples=100),
        evaluation,
        pair,
        named,
        among_all([pair, named]),
        Sweep(
            {"seqgan, last": {t: row(t / 9) for t in temperatures}}, "real, held out", row(0),
            ["Neither is better at equal diversity."],
        ),
    ]  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)
        self.tables += tag == "table"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("number", range(6))
def test_every_result_fits_80_columns_and_is_its_own_repr(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = shown()[number]
    monkeypatch.setenv("COLUMNS", "80")
    assert widest(str(result)) <= 80
    assert repr(result) == str(result)
    assert len(repr(result)) < 8000
    monkeypatch.setenv("COLUMNS", "300")
    assert len(str(result).splitlines()) < len(result.text(80).splitlines())
    page = Tags()
    page.feed(result._repr_html_())
    assert not page.open and page.tables >= 1


def test_html_is_escaped() -> None:
    table = Table(["<b>", "a & b"], [["<script>", "1\n[0, 2]"]], title="<i>")
    for part in ("<b>", "<script>", "<i>"):
        assert part not in table.html() and html.escape(part) in table.html()
    assert "1<br>[0, 2]" in table.html()


def test_several_systems_are_corrected_together() -> None:
    first, second = shown()[2], shown()[3]
    assert isinstance(first, Comparison) and isinstance(second, Comparison)
    made = among_all([first, second])
    assert not isinstance(made, Comparison)
    tested = [result for one in made.comparisons for result in one.differences]
    assert [result.corrected for result in tested] == holm([result.p or 0.0 for result in tested])
    assert made.to_dict()["baseline"] == "MLE"
    assert among_all([first]) is first
    assert f"among {len(tested)} comparisons" in str(made)
    with pytest.raises(ValueError, match="nothing to compare"):
        among_all([])
