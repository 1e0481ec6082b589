"""Charts: places, ticks, and text that survives whatever it is told."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgan.core.statistics import Estimate
from textgan.evaluation.report.charts import (
    BOTTOM,
    HEIGHT,
    MOST_POINTS,
    PALETTE,
    RIGHT,
    TICK,
    TOP,
    WIDTH,
    Chart,
    Point,
    Scale,
    Series,
    clipped,
    nice_ticks,
    style_sheet,
    svg,
    swatch,
    thinned,
    tick_labels,
    width_of,
)

HOSTILE = '</svg></script><b onload="x">\'&amp; שלום 春江花月夜 ' + "w" * 300


def at(x: float, y: float, label: str = "", about: str = "") -> Point:
    return Point(Estimate(x), Estimate(y), label, about)


def drawn(*series: Series, **settings: object) -> ET.Element:
    settings = {"x": "across", "y": "up", "title": "chart"} | settings
    return ET.fromstring(svg(Chart(series=series, **settings)))  # type: ignore[arg-type]


def found(root: ET.Element, kind: str) -> list[ET.Element]:
    return [e for e in root.iter() if kind in e.get("class", "").split()]


def starts(path: ET.Element) -> tuple[float, float]:
    x, y = re.match(r"M(-?[\d.]+) (-?[\d.]+)", path.get("d", "")).groups()  # type: ignore[union-attr]
    return float(x), float(y)


def text(root: ET.Element) -> list[str]:
    """What is written, without what is only shown on pointing."""
    return ["".join([e.text or "", *(c.tail or "" for c in e)]) for e in root.iter("text")]


def numbers(root: ET.Element) -> list[float]:
    """Every absolute coordinate of paths, and where texts stand."""
    paths = [e.get("d", "") for e in root.iter("path")]
    places = [float(n) for d in paths for n in re.findall(r"[MLHV](-?[\d.]+)", d)]
    return places + [float(e.get(k, "0")) for e in root.iter("text") for k in "xy"]


numeric = st.floats(-1e12, 1e12, allow_nan=False)


@given(numeric, numeric, st.integers(3, 12))
def test_ticks_are_round_even_and_cover(a: float, b: float, most: int) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high, most)
    assert 2 <= len(ticks) <= most
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    slack = 1e-6 * step + 1e-9 * max(abs(low), abs(high))
    assert ticks[0] <= low + slack and high - slack <= ticks[-1]
    digits = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(digits - nice) for nice in (1, 2, 5)) < 1e-5
    assert all(abs(b - a - step) <= slack + 1e-6 * step for a, b in pairwise(ticks))
    assert abs(ticks[0] / step - round(ticks[0] / step)) < 1e-5
    if high - low > 1e-6 * max(abs(low), abs(high)) and high - low > 1e-9:
        # no smaller step would have done, and little is wasted
        assert ticks[0] > low - step - slack and ticks[-1] < high + step + slack


@pytest.mark.parametrize(
    ("low", "high", "ticks", "labels"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (2.43, 4.4, [2.0, 2.5, 3.0, 3.5, 4.0, 4.5], ["2.0", "2.5", "3.0", "3.5", "4.0", "4.5"]),
        (0, 4000, [0, 1000, 2000, 3000, 4000], ["0", "1,000", "2,000", "3,000", "4,000"]),
        (-0.03, 0.01, [-0.03, -0.02, -0.01, 0, 0.01], ["−0.03", "−0.02", "−0.01", "0.00", "0.01"]),
        (3.0, 3.0, [2.7, 2.8, 2.9, 3.0, 3.1, 3.2, 3.3], None),
        (0.0, 0.0, [-1.0, -0.5, 0.0, 0.5, 1.0], None),
    ],
)
def test_known_ticks(low: float, high: float, ticks: list[float], labels: list[str] | None) -> None:
    assert nice_ticks(low, high, 7) == ticks
    if labels:
        assert tick_labels(ticks) == labels


def test_a_scale_maps_ends_to_ends() -> None:
    scale = Scale(2, 4, 100, 0)
    assert [scale(2), scale(3), scale(4)] == [100, 50, 0]


def test_points_bars_and_rules_stand_where_they_should() -> None:
    middle = Point(Estimate(5, 2, 8), Estimate(0.5, 0.25, 0.75))
    line = Series("a", [at(0, 0), middle, at(10, 1)], 0)
    root = drawn(line, levels=[(0.5, "level")], ends=[(5, "end")])
    (path,) = found(root, "line")
    # y from 0 to 1 labelled with three letters: the frame begins where they end
    left = 10 + width_of("0.0", TICK)
    centre = (left + RIGHT) / 2
    places = [float(n) for n in re.findall(r"[\d.]+", path.get("d", ""))]
    wanted = [left, BOTTOM, centre, (TOP + BOTTOM) / 2, RIGHT, TOP]
    assert places == pytest.approx(wanted, abs=0.06)
    (bar,) = found(root, "bar")
    x_low, x_high = (left + (RIGHT - left) * share for share in (0.2, 0.8))
    y_low, y_high = (BOTTOM + (TOP - BOTTOM) * share for share in (0.25, 0.75))
    places = [float(n) for n in re.findall(r"[\d.]+", bar.get("d", ""))]
    wanted = [x_low, (TOP + BOTTOM) / 2, x_high, centre, y_low, y_high]
    assert places == pytest.approx(wanted, abs=0.06)
    level, end = found(root, "rule")
    assert starts(level) == pytest.approx((left, (TOP + BOTTOM) / 2), abs=0.06)
    assert starts(end) == pytest.approx((centre, TOP), abs=0.06)
    assert [starts(marker) for marker in found(root, "marker")][1] == pytest.approx(
        (centre, (TOP + BOTTOM) / 2), abs=0.06
    )
    assert {"level", "end", "across", "up"} <= set(text(root))


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-9, 1e12, 1e-300, -7e99])
def test_one_point_and_constant_values(value: float) -> None:
    for points in ([at(value, value)], [at(1, value), at(2, value)]):
        root = drawn(Series("a", points, 0))
        assert all(math.isfinite(n) for n in numbers(root))
        for marker in found(root, "marker"):
            x, y = starts(marker)
            assert 0 <= x <= WIDTH and TOP <= y <= BOTTOM


def test_what_is_no_number_leaves_a_gap() -> None:
    points = [at(0, 1), at(1, 2), at(2, math.nan), at(3, math.inf), at(4, 3), at(5, 4)]
    root = drawn(Series("a", points, 0))
    (path,) = found(root, "line")
    assert re.sub(r"[\d. ]", "", path.get("d", "")) == "MLML"
    assert len(found(root, "marker")) == 4
    assert "nan" not in ET.tostring(root, "unicode") and "inf" not in ET.tostring(root, "unicode")
    assert not found(drawn(Series("a", [at(math.nan, 1)], 0)), "marker")


@given(st.lists(st.tuples(numeric, numeric), min_size=1, max_size=30), st.integers(1, 12))
def test_everything_lies_inside(points: list[tuple[float, float]], lines: int) -> None:
    series = [
        Series(f"name {i}", [at(x + i, y * i, f"p{x:.1e}") for x, y in points], i, short=f"n{i}")
        for i in range(lines)
    ]
    root = drawn(*series)
    for element in root.iter("text"):
        x, wide = float(element.get("x", "")), width_of("".join(text_of(element)), TICK)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[element.get("text-anchor", "")]
        assert left >= -1 and left + wide <= WIDTH + 1
        assert 0 <= float(element.get("y", "")) <= HEIGHT
    assert all(-1 <= n <= WIDTH + 1 for n in numbers(root))


def text_of(element: ET.Element) -> list[str]:
    return [element.text or "", *(child.tail or "" for child in element)]


def test_hostile_words_stay_words() -> None:
    series = [
        Series(HOSTILE, [at(0, 0, HOSTILE, HOSTILE), at(1, 1)], i, short=HOSTILE) for i in range(2)
    ]
    settings = {"title": HOSTILE, "x": HOSTILE, "y": HOSTILE}
    root = drawn(*series, **settings, levels=[(0.5, HOSTILE)], ends=[(0.5, HOSTILE)])
    assert {e.tag for e in root.iter()} == {"svg", "text", "path", "g", "title"}
    assert not [name for e in root.iter() for name in e.attrib if name.startswith("on")]
    titles = [e.text for e in root.iter("title")]
    assert HOSTILE in titles
    assert all(width_of(words, TICK) <= WIDTH for words in text(root))


def test_twelve_lines_are_all_different() -> None:
    ways = set()
    for i in range(12):
        root = ET.fromstring(swatch(i))
        (group,) = list(root.iter("g"))
        (line,) = found(root, "line")
        (marker,) = found(root, "marker")
        shape = re.sub(r"^M\S+ [\d.]+m", "", marker.get("d", ""))
        ways.add((group.get("class"), line.get("stroke-dasharray"), shape))
    assert len(ways) == 12
    assert len({colour for colour, _, _ in ways}) == len(PALETTE)
    # not by colour alone: neighbours differ in dashes and in markers too
    first = [sorted(ways, key=str)[i][1:] for i in range(len(PALETTE))]
    assert len(set(first)) > 4


def test_labels_never_lie_on_each_other() -> None:
    series = [
        Series("a", [at(x, x * (1 + i / 50), f"{x:.2f}") for x in range(9)], i) for i in range(4)
    ]
    root = drawn(*series)
    boxes = []
    for element in root.iter("text"):
        if "halo" in element.get("class", ""):
            x, y = float(element.get("x", "")), float(element.get("y", ""))
            boxes.append((x, y - TICK + 2, x + width_of("".join(text_of(element)), TICK), y + 1))
    assert len(boxes) >= 9
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_names_stand_beside_their_ends_or_not_at_all() -> None:
    near = [Series(f"n{i}", [at(0, 0), at(1, 10 + i / 10)], i, short=f"n{i}") for i in range(3)]
    root = drawn(*near)
    heights = {
        e.text: float(e.get("y", "")) for e in root.iter("text") if e.text in ("n0", "n1", "n2")
    }
    assert heights["n2"] + TICK <= heights["n1"] <= heights["n0"] - TICK
    crowd = [Series(f"n{i}", [at(0, 0), at(1, 10)], i, short=f"n{i}") for i in range(9)]
    assert not [words for words in text(drawn(*crowd)) if words.startswith("n")]


def test_long_lines_keep_their_extremes() -> None:
    points = [at(i, 100 if i == 5001 else -100 if i == 77 else i % 7) for i in range(20_000)]
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert {100, -100} <= {point.y.value for point in kept}
    assert kept == sorted(kept, key=lambda point: point.x.value)
    assert thinned(points[:MOST_POINTS]) == points[:MOST_POINTS]


@given(st.text(max_size=80), st.floats(20, 400))
def test_clipped_text_fits(words: str, wide: float) -> None:
    short = clipped(words, wide, 12)
    assert width_of(short, 12) <= wide or short == "…"
    assert short == " ".join(words.split()) or short.endswith("…")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted([luminance(a), luminance(b)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "paper"), [(0, "#ffffff"), (1, "#14171a")])
def test_colours_can_be_read_as_text(theme: int, paper: str) -> None:
    for pair in PALETTE:
        assert contrast(pair[theme], paper) >= 4.5, pair
    assert "prefers-color-scheme:dark" in style_sheet()
