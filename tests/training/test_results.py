"""What is read of a run's results."""

import json
import math
from pathlib import Path

import pytest
from toys import TOY, TOY_TEXT, toy_text

import textgan
from textgan.training.results import final_table
from textgan.training.run import open_run


def test_the_table_has_the_rows_and_values_of_its_json(tmp_path: Path) -> None:
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **TOY)
    content = json.loads((tmp_path / "run/results.json").read_text())
    assert json.loads(json.dumps(results.to_dict())).items() <= content.items()
    shown = str(results)
    for row in results.rows.values():
        for key in ("nll_oracle", "nll_test"):
            assert str(row[key]) in shown
    oracle, random = results.rows["oracle"], results.rows["random tokens"]
    assert oracle["nll_oracle"].value < results.rows["seqgan, last"]["nll_oracle"].value
    assert random["nll_test"].value == pytest.approx(math.log(20))
    assert not any("intervals rest on" in text for text in results.warnings)
    few = final_table(open_run(tmp_path / "run"), samples=29, seed=1)
    assert any("intervals rest on 29 texts" in text for text in few.warnings)


@pytest.mark.parametrize("words", [False, True])
def test_a_final_table_and_an_evaluation_have_the_same_numbers(tmp_path: Path, words: bool) -> None:
    settings = TOY_TEXT | {"data.file": str(toy_text(tmp_path, 200))} if words else TOY
    results = textgan.train("seqgan", out=tmp_path / "run", quiet=True, **settings)
    evaluation = textgan.evaluate(tmp_path / "run", metrics=["likelihood", "unique"], quiet=True)
    tables = [results.rows, evaluation.rows]
    for rows in zip(*(list(table.values())[-2:] for table in tables), strict=True):
        final, evaluated = rows
        same = {
            name: (score.value, evaluated[name].value)
            for name, score in final.items()
            if name in evaluated and score.signature == evaluated[name].signature
        }
        assert same.keys() >= {"nll_test", "entropy"} | (set() if words else {"nll_oracle"})
        assert all(first == second for first, second in same.values())
