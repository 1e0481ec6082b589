"""Which cells of a report's table are marked."""

import pytest

from textgan.core.score import Better, Score
from textgan.core.statistics import Estimate
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
    found = marked(line(better, real, *models)).cells[1:]
    assert [i for i, cell in enumerate(found) if cell and cell.best] == (
        [] if best is None else [best]
    )
