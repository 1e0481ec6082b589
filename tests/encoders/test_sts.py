"""Pairs that people judged: files of them, and the correlation."""

from pathlib import Path

import numpy as np
import pytest

from textgan.core.errors import UserError
from textgan.encoders.similarity import spearman
from textgan.encoders.sts import Sts, correlation, read_sts

PAIRS = [  # subset, gold, cosine
    ("news", 1.0, 0.8),
    ("news", 2.0, 0.85),
    ("news", 3.0, 0.9),
    ("forum", 3.5, 0.1),
    ("forum", 4.0, 0.2),
    ("forum", 5.0, 0.15),
]


def write(folder: Path, *lines: str) -> Path:
    path = folder / "sts.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_all_is_of_the_pairs_put_together_not_the_mean_over_subsets(tmp_path: Path) -> None:
    lines = [f"{name}\t{gold}\ta {i}\tb {i}" for i, (name, gold, _) in enumerate(PAIRS)]
    sts = read_sts(write(tmp_path, *lines))
    cosines = np.array([cosine for _, _, cosine in PAIRS])
    result = {
        name: correlation(cosines[some], sts.gold[some]).value for name, some in sts.parts().items()
    }
    assert list(result) == ["all", "news", "forum"]
    assert result["all"] == 100 * spearman(cosines, [gold for _, gold, _ in PAIRS])
    # within each subset people and cosines mostly agree; between them they do not
    assert result["news"] == pytest.approx(100)
    assert result["forum"] == pytest.approx(50)
    # ranks of the cosines 4 5 6 1 3 2 against 1 .. 6: 1 - 6 (9 + 9 + 9 + 9 + 4 + 16) / 210
    assert result["all"] == pytest.approx(-60)
    assert result["all"] != pytest.approx((result["news"] + result["forum"]) / 2)


def test_files_of_both_forms_with_and_without_a_header(tmp_path: Path) -> None:
    rows = ["5\ta cat\tthe cat", "0.5\ta cat\ta dog", "1e0\tx\ty"]
    plain = read_sts(write(tmp_path, *rows))
    assert plain.gold.tolist() == [5, 0.5, 1]
    assert (plain.first, plain.second) == (["a cat", "a cat", "x"], ["the cat", "a dog", "y"])
    assert list(plain.parts()) == ["all"]
    headed = read_sts(write(tmp_path, "score\tone\ttwo", "", *rows))
    assert headed.gold.tolist() == plain.gold.tolist()
    named = read_sts(
        write(tmp_path, "set\tScore\ta\tb", *(f"s{i % 2}\t{row}" for i, row in enumerate(rows)))
    )
    assert named.subsets == ["s0", "s1", "s0"]
    assert {name: some.tolist() for name, some in named.parts().items()} == {
        "all": [0, 1, 2],
        "s0": [0, 2],
        "s1": [1],
    }


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["5\ta", "1\tb"], "line 1 has 1 tab;"),
        (["a b c"], "line 1 has 0 tabs;"),
        (["5\ta\tb", "", "x\t5\ta\tb"], "line 3 has 3 tabs and those before it 2;"),
        (["5\ta\tb", "four\tc\td"], "in line 2 the score 'four' is not a number"),
        (["a man\ta woman\t3.5"], "in line 1 the score 'a man' is not a number"),
        (["5\ta\tb", "nan\tc\td"], "in line 2 the score 'nan' is not a number"),
        (["5\ta\tb", "inf\tc\td"], "the score 'inf' is not a number"),
        (["5\ta\tb", "\tc\td"], "the score '' is not a number"),
        (["5\ta\tb", "score\tc\td"], "in line 2 the score 'score' is not a number"),
        (["5\ta\tb", "4\t \td"], "in line 2 a sentence is missing"),
        (["x\t5\ta\tb", "\t4\tc\td"], "in line 2 the subset's name is missing"),
        (["all\t5\ta\tb"], "no subset can be called 'all'"),
        (["5\ta\tb", "4\tc\td"], "has 2 pairs of sentences; at least 3"),
        (["score\ta\tb"], "has 0 pairs"),
        (["5\ta\tb"] * 4, "all scores are 5, which orders nothing"),
        ([" "], "is empty"),
    ],
)
def test_a_bad_line_is_named(lines: list[str], why: str, tmp_path: Path) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(UserError) as refusal:
        read_sts(path)
    assert str(refusal.value).startswith(f"sts = {str(path)!r}")
    assert why in str(refusal.value)


def test_rounding_orders_nothing() -> None:
    ten = 0.1 * np.arange(10)
    noise = np.array([1e-15, -1e-15] * 5)
    assert correlation(ten // 0.2 + noise, ten).value == correlation(ten // 0.2, ten).value
    with pytest.raises(ValueError, match="all equal"):
        correlation(0.5 + noise, ten)
    with pytest.raises(ValueError, match="2 pairs"):
        correlation([1, 2], [1, 2])


def test_the_interval_is_the_bootstraps() -> None:
    generator = np.random.default_rng(0)
    gold = generator.normal(size=300)
    result = correlation(gold + generator.normal(size=300), gold, resamplings=200)
    assert result.low is not None and result.high is not None
    assert result.low < result.value < result.high
    # a correlation's standard deviation is about (1 - rho^2) / sqrt(n)
    rho = result.value / 100
    assert (result.high - result.low) / 100 == pytest.approx(4 * (1 - rho**2) / 300**0.5, rel=0.3)


def test_subsets_of_pairs_share_no_number_with_others() -> None:
    sts = Sts(np.array([1.0, 2.0, 3.0]), ["a", "b", "c"], ["d", "e", "f"], ["x", "y", "x"])
    assert {name: some.tolist() for name, some in sts.parts().items()} == {
        "all": [0, 1, 2],
        "x": [0, 2],
        "y": [1],
    }
