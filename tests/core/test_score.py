"""Scores as text, and tables of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scores import ROWS, score

from textgan.core.score import (
    Score,
    ScoreTable,
    checked_value,
    names_of,
    scores_from_dict,
    scores_to_dict,
    sign,
    table_of,
)
from textgan.core.statistics import DEGENERATE, Estimate
from textgan.core.version import __version__


def test_the_narrow_table_says_which_way_is_better() -> None:
    made = table_of(ROWS).text(80)
    assert "BLEU-2 ↑" in made and "Self-BLEU-2 ≈" in made and "NLL_test ↓" in made
    assert "↑ higher is better" in made
    assert "nats per token" in made


def test_a_score_is_short() -> None:
    assert len(repr(score(0.5))) < 250


def test_a_signature_has_every_fact_and_the_version() -> None:
    assert sign("bleu", n=4, tok="nltk") == f"bleu|n:4|tok:nltk|v:{__version__}"
    assert sign("length", end=None) == f"length|end|v:{__version__}"


def test_scores_come_back_from_json() -> None:
    scores = ROWS["seqgan, last"] | {"exact": Score("Exact", Estimate(1.0), "e|v:1", "higher")}
    result = scores_from_dict(json.loads(json.dumps(scores_to_dict(scores))))
    assert result == scores  # replicates are kept elsewhere
    assert list(result) == list(scores)
    assert result["exact"].low is None and len(result["exact"].replicates) == 0
    again = Score.from_dict(scores["BLEU-2"].to_dict(), np.arange(3.0))
    assert again.replicates.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("key", "value"),
    [("value", "0.5"), ("low", []), ("better", "more"), ("title", 3), ("signature", None)],
)
def test_what_is_no_score_is_refused(key: str, value: object) -> None:
    content = score(0.5).to_dict()
    with pytest.raises(ValueError, match=key):
        Score.from_dict(content | {key: value})
    del content[key]
    with pytest.raises(KeyError):
        Score.from_dict(content)


def test_a_whole_number_is_a_number_in_json_and_a_truth_value_is_none() -> None:
    assert checked_value({"a": 1}, "a", float) == 1.0
    with pytest.raises(ValueError, match="a: "):
        checked_value({"a": True}, "a", float)


def test_columns_are_in_the_order_of_the_fullest_row() -> None:
    one = score(0.5)
    rows = [{"b": one}, {"a": one, "b": one, "c": one}, {"d": one, "a": one}]
    assert names_of(rows) == ["a", "b", "c", "d"]
    assert names_of([]) == []
    table = table_of({"x": rows[0], "y": rows[1]})
    assert [row[2:4] for row in table.rows] == [["", str(one)], [str(one)] * 2, ["", str(one)]]


class Whole(ScoreTable):
    def footnotes(self) -> list[str]:
        return []


def test_an_interval_of_one_value_is_flagged() -> None:
    rows = {"a": {"unique": score(1.0)}, "b": {"unique": score(0.5)}}
    rows["a"]["unique"] = replace(rows["a"]["unique"], estimate=Estimate(1.0, 1.0, 1.0))
    shown = Whole(rows).text(200)
    assert "1.000 [1.000, 1.000]*" in shown and "0.500 [0.480, 0.520]\n" in shown
    assert f"\n{DEGENERATE}" in shown
    del rows["a"]
    assert "*" not in Whole(rows).text(200)
