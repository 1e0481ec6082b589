"""Which cells of a report's table are marked."""

from pathlib import Path

import pytest
from pages import cells, write_run

from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
from textgan.evaluation.report.page import make_page
from textgan.evaluation.report.runs import System
from textgan.evaluation.report.table import Cell, Line, marked


def line(better: Better, real: float | None, *models: tuple[float, float] | None) -> Line:
    def cell(role: str, value: float, half: float, sign: str = "s") -> Cell:
        estimate = Estimate(value, value - half, value + half)
        subject = System(role, role, role, 0, ())  # type: ignore[arg-type]
        return Cell(subject, estimate, {"run": Score("t", estimate, sign, better)})

    cells = [cell("method", *model) if model else None for model in models]
    return Line("t", "t", better, "", [None if real is None else cell("real", real, 0.0), *cells])


@pytest.mark.parametrize(
    ("better", "real", "models", "best"),
    [
        ("lower", 1.0, [(2, 0.1), (3, 0.1)], 0),
        ("higher", 9.0, [(2, 0.1), (3, 0.1)], 1),
        ("lower", 1.0, [(2, 0.6), (3, 0.6)], None),  # the intervals overlap
        ("lower", 2.5, [(2, 0.1), (3, 0.1)], None),  # the first is past real text
        ("like real text", 2.9, [(2, 0.1), (3, 0.1)], 1),
        ("like real text", 2.5, [(2, 0.1), (3, 0.1)], None),
        ("like real text", None, [(2, 0.1), (3, 0.1)], None),
        ("lower", None, [(2, 0.1), None, (3, 0.1)], 0),
        ("lower", 1.0, [(2, 0.1)], None),  # better than nobody
    ],
)
def test_the_best_is_marked_where_it_stands(
    better: Better, real: float | None, models: list[tuple[float, float] | None], best: int | None
) -> None:
    result = marked(line(better, real, *models)).cells[1:]
    assert [i for i, cell in enumerate(result) if cell and cell.best] == (
        [] if best is None else [best]
    )


def test_past_real_text_is_said(tmp_path: Path) -> None:
    page = make_page([write_run(tmp_path / "run", quality=2.0)])
    assert cells(page, "NLL_oracle")[2] == "2.000 past real [1.950, 2.050]"
    assert cells(page, "BLEU-4")[2] == "0.750 past real [0.700, 0.800]"


def test_different_signatures_do_not_compare(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", "maligan", quality=3.0)]
    assert "do not compare" not in make_page(runs)
    file = runs[1] / "evaluation.json"
    file.write_text(file.read_text().replace("nll_oracle|hyps:100", "nll_oracle|hyps:7"))
    page = make_page(runs)
    assert "NLL_oracle: the signatures differ" in page
    assert not [cell for cell in cells(page, "NLL_oracle") if "best" in cell]
