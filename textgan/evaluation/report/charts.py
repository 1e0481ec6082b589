"""Line charts as SVG, for a page that follows its reader's theme and needs nothing but itself.

A chart is text: lines, points with intervals, rules, and ticks at round numbers. Colours are the
CSS variables of `style_sheet`, so that light, dark and paper are one chart. A line is known by its
colour (after Okabe and Ito 2008, legible to the colour-blind), its dashes and its markers. All
lengths are in units of the view box, which is as wide as a phone is in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from textgan.core.statistics import Estimate

WIDTH, HEIGHT = 400, 330
TOP, BOTTOM, RIGHT = 36, 282, 390  # of the frame; its left depends on the ticks' labels
TICK, TITLE = 13, 14  # sizes of letters
MOST_POINTS = 400  # of a line: more than the frame has units

# for light and for dark paper; the first is MLE's
PALETTE = [
    ("#0072b2", "#56b4e9"),
    ("#c85200", "#f08244"),
    ("#00805d", "#2fc79a"),
    ("#ad4d87", "#dd94bd"),
    ("#946000", "#e69f00"),
    ("#63666a", "#b0b5ba"),
    ("#766d00", "#f0e442"),
]
_DASHES = ["", "7 3", "2 3", "10 3 2 3", "5 2 2 2 2 2"]
_MARKERS = [
    "M{0} {1}m-{2} 0a{2} {2} 0 1 0 {3} 0a{2} {2} 0 1 0 -{3} 0z",  # circle
    "M{0} {1}m-{2} -{2}h{3}v{3}h-{3}z",  # square
    "M{0} {1}m0 -{2}l{2} {3}h-{3}z",  # triangle
    "M{0} {1}m0 -{3}l{2} {3}l-{2} {3}l-{2} -{3}z",  # diamond
    "M{0} {1}m0 {2}l{2} -{3}h-{3}z",  # triangle on its point
    "M{0} {1}m-{2} -{2}l{3} {2}l-{3} {2}z",  # triangle to the right
]

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Point:
    """A place with its intervals; `label` is written beside it, `about` shown on it."""

    x: Estimate
    y: Estimate
    label: str = ""
    about: str = ""

    @property
    def finite(self) -> bool:
        """Whether it can be drawn."""
        return _drawable(self.x.value) and _drawable(self.y.value)


@dataclass(frozen=True)
class Series:
    """Points in the order in which a line joins them.

    style: which colour, dashes and marker; None: a lone cross in the colour of the text, which is
    real text's. faint: thin and without markers, beside another that says the same better. marked:
    whether it has markers. short: the name beside the line's end, none if empty.
    """

    name: str
    points: Sequence[Point]
    style: int | None
    faint: bool = False
    marked: bool = True
    short: str = ""


@dataclass(frozen=True)
class Chart:
    """Series over two axes.

    levels, ends: dotted lines across and upright, each with its name. x_reach, y_reach: numbers
    that the axes reach in any case.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    levels: Sequence[tuple[float, str]] = ()
    ends: Sequence[tuple[float, str]] = ()
    x_reach: Sequence[float] = ()
    y_reach: Sequence[float] = ()


@dataclass(frozen=True)
class Scale:
    """From numbers between `low` and `high` to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def nice_ticks(low: float, high: float, most: int = 10) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten that cover low to high; at most so many,
    which is three or more."""
    largest = max(abs(low), abs(high))
    if high - low <= 1e-9 * max(largest, 1e-9):  # one value: some room on either side
        room = largest / 10 if largest > 1e-9 else 1.0
        low, high = low - room, high + room
    power = math.floor(math.log10((high - low) / most))
    for exponent in (power, power + 1):
        for factor in (1, 2, 5):
            # a whole number times or over a power of ten, so that 0.3 is 0.3
            up, down = (factor * 10**exponent, 1) if exponent >= 0 else (factor, 10**-exponent)
            first = math.floor(low * down / up + 1e-9)
            last = math.ceil(high * down / up - 1e-9)
            if last - first < most:
                return [i * up / down for i in range(first, last + 1)]
    raise AssertionError("a step of ten times the least is always enough")


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Format the ticks, all to the same number of decimals."""
    step = ticks[1] - ticks[0]
    if max(abs(ticks[0]), abs(ticks[-1])) >= 1e6 or step < 1e-5:
        return [f"{tick:g}".replace("-", "−") for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick:,.{decimals}f}".replace("-", "−") for tick in ticks]


def width_of(text: str, size: float) -> float:
    """Estimate the width of a text; letters beyond Latin, Greek and Cyrillic count as full
    squares."""
    return size * sum(0.56 if ord(letter) < 0x1100 else 1.0 for letter in text)


def clipped(text: str, width: float, size: float) -> str:
    """Return the text, or as much of its beginning as fits."""
    text = " ".join(text.split())
    if width_of(text, size) <= width:
        return text
    while text and width_of(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most MOST_POINTS of the points: the lowest and the highest of each stretch."""
    if len(points) <= MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = [i for i in range(start, min(start + size, len(points))) if points[i].finite]
        if stretch:
            ends = {min(stretch, key=lambda i: points[i].y.value)}
            ends.add(max(stretch, key=lambda i: points[i].y.value))
            kept += [points[i] for i in sorted(ends)]
    return kept


def svg(chart: Chart) -> str:
    """Draw the chart as SVG. Numbers that are not finite leave a gap in their line."""
    series = [one for one in chart.series if any(point.finite for point in one.points)]
    points = [point for one in series for point in one.points if point.finite]
    across = [*_ends(point.x for point in points), *(x for x, _ in chart.ends), *chart.x_reach]
    upwards = [*_ends(point.y for point in points), *(y for y, _ in chart.levels), *chart.y_reach]
    across, upwards = across or [0.0, 1.0], upwards or [0.0, 1.0]
    x_ticks = nice_ticks(min(across), max(across))
    y_ticks = nice_ticks(min(upwards), max(upwards))
    y_labels = tick_labels(y_ticks)
    left = 10 + max(width_of(label, TICK) for label in y_labels)
    shorts = [clipped(one.short, 90, TICK) for one in series if one.short]
    names = _name_places(series, Scale(y_ticks[0], y_ticks[-1], BOTTOM, TOP))
    right = RIGHT - (6 + max(width_of(name, TICK) for name in shorts) if names else 0)
    x = Scale(x_ticks[0], x_ticks[-1], left, right)
    y = Scale(y_ticks[0], y_ticks[-1], BOTTOM, TOP)

    drawn = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}">',
        _text(2, 15, clipped(chart.y, WIDTH - 4, TITLE), "start", "axis", chart.y),
        _text(RIGHT, HEIGHT - 8, clipped(chart.x, WIDTH - 14, TITLE), "end", "axis", chart.x),
        f'<path class="grid" d="{"".join(f"M{_n(left)} {_n(y(t))}H{_n(right)}" for t in y_ticks)}'
        f'{"".join(f"M{_n(x(t))} {BOTTOM}v4" for t in x_ticks)}"/>',
    ]
    for tick, label in zip(y_ticks, y_labels, strict=True):
        drawn.append(_text(left - 5, y(tick) + 4, label, "end"))
    x_labels = tick_labels(x_ticks)
    widest = max(width_of(label, TICK) for label in x_labels) + 8
    every = math.ceil(widest * (len(x_ticks) - 1) / (right - left))
    for tick, label in list(zip(x_ticks, x_labels, strict=True))[::every]:
        inside = min(x(tick), WIDTH - width_of(label, TICK) / 2)
        drawn.append(_text(inside, BOTTOM + 18, label, "middle"))
    for value, _ in chart.levels:
        drawn.append(f'<path class="rule" d="M{_n(left)} {_n(y(value))}H{_n(right)}"/>')
    for value, _ in chart.ends:
        drawn.append(f'<path class="rule" d="M{_n(x(value))} {TOP}V{BOTTOM}"/>')
    drawn += [_line(one, x, y) for one in sorted(series, key=lambda one: not one.faint)]

    # words last, over the lines, and only where there is room for them
    taken = [_around(x(p.x.value), y(p.y.value), 3) for one in series for p in one.points
             if p.finite and not one.faint and p.label]  # fmt: skip
    for value, name in chart.levels:
        name = clipped(name, right - left - 8, TICK)
        drawn.append(_text(left + 4, y(value) - 4, name, "start", "halo"))
        taken.append((left, y(value) - 16, left + 4 + width_of(name, TICK), y(value)))
    for value, name in chart.ends:
        at_right = x(value) + 5 + width_of(name, TICK) <= right
        drawn.append(
            _text(x(value) + (5 if at_right else -5), TOP - 4, clipped(name, 150, TICK),
                  "start" if at_right else "end", "halo")
        )  # fmt: skip
    for one in series:
        if not one.faint:
            drawn += _point_labels(one, x, y, taken, (left, TOP - 2, RIGHT, BOTTOM))
    for place, one in names:
        short = clipped(one.short, 90, TICK)
        drawn.append(_text(right + 6, place + 4, short, "start", _colour(one), one.short))
    return "".join([*drawn, "</svg>"])


def swatch(style: int | None) -> str:
    """Draw a line as a legend shows it."""
    sample = Series("", [Point(Estimate(x), Estimate(0)) for x in (0, 1, 2)], style)
    one_place = Scale(0, 1, 8, 8)
    body = _line(sample, Scale(0, 2, 2, 38), one_place, marked=[1])
    return f'<svg class="swatch" viewBox="0 0 40 16" aria-hidden="true">{body}</svg>'


def style_sheet() -> str:
    """Return the CSS of charts: --ink and --paper are the page's, the colours of lines are
    these."""

    def colours(theme: int) -> str:
        return "".join(f"--line-{i}:{pair[theme]};" for i, pair in enumerate(PALETTE))

    lines = "".join(f".line-{i}{{color:var(--line-{i})}}" for i in range(len(PALETTE)))
    return (
        f":root{{{colours(0)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{colours(1)}}}}}"
        ".chart{display:block;width:100%;height:auto}"
        f".chart text{{fill:currentColor;font-size:{TICK}px;font-family:inherit}}"
        f".chart text.axis{{font-size:{TITLE}px}}"
        ".chart text.halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;"
        "stroke-linejoin:round}"
        ".chart .grid{stroke:var(--ink);stroke-opacity:.16;fill:none}"
        ".chart .rule{stroke:var(--ink);stroke-dasharray:1 4;stroke-width:1.5;"
        "stroke-linecap:round;fill:none}"
        ".swatch{width:40px;height:16px;flex:none}"
        ".line-real{color:var(--ink)}" + lines + ".line{stroke:currentColor;stroke-width:2;"
        "fill:none;stroke-linejoin:round}"
        ".thin .line{stroke-width:1.25}.faint .line{stroke-width:1;stroke-opacity:.45}"
        ".bar{stroke:currentColor;stroke-opacity:.5;fill:none}"
        ".marker{fill:currentColor;stroke:var(--paper)}"
        ".cross{stroke:currentColor;stroke-width:2.5;fill:none}"
    )


def _line(series: Series, x: Scale, y: Scale, marked: Sequence[int] | None = None) -> str:
    points = thinned(series.points)
    style = series.style
    body, bars, pen = [], [], "M"
    for point in points:
        if not point.finite:
            pen = "M"
            continue
        at = _n(x(point.x.value)), _n(y(point.y.value))
        body.append(f"{pen}{at[0]} {at[1]}")
        pen = "L"
        if point.x.low is not None and point.x.high is not None:
            bars.append(f"M{_n(x(point.x.low))} {at[1]}H{_n(x(point.x.high))}")
        if point.y.low is not None and point.y.high is not None:
            bars.append(f"M{at[0]} {_n(y(point.y.low))}V{_n(y(point.y.high))}")
    kind = " faint" if series.faint else "" if series.marked else " thin"
    drawn = [f'<g class="{_colour(series)}{kind}">']
    if bars and not series.faint:
        drawn.append(f'<path class="bar" d="{"".join(bars)}"/>')
    if style is not None:
        dashes = _DASHES[style % len(_DASHES)]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        drawn.append(f'<path class="line"{dashed} d="{"".join(body)}"/>')
    if series.marked and not series.faint:
        # a marker on every point where they are few, else on some
        every = 1 if len(points) <= 12 else math.ceil(len(points) / 6)
        chosen = range(len(points) - 1, -1, -every) if marked is None else marked
        drawn += [_marker(points[i], series, x, y) for i in chosen if points[i].finite]
    return "".join([*drawn, "</g>"])


def _colour(series: Series) -> str:
    style = series.style
    return "line-real" if style is None else f"line-{style % len(PALETTE)}"


def _marker(point: Point, series: Series, x: Scale, y: Scale) -> str:
    at = _n(x(point.x.value)), _n(y(point.y.value))
    about = point.about or series.name
    title = f"<title>{escape(about)}</title>" if about else ""
    if series.style is None:
        return f'<path class="cross" d="M{at[0]} {at[1]}m-6 0h12m-6 -6v12">{title}</path>'
    shape = _MARKERS[series.style % len(_MARKERS)].format(*at, 4, 8)
    return f'<path class="marker" d="{shape}">{title}</path>'


def _name_places(series: Sequence[Series], y: Scale) -> list[tuple[float, Series]]:
    """Place the names beside the lines' ends; none where they do not all fit.

    Each is as near its line's end as the others allow, and none is far from it.
    """
    named = [
        (y([point.y.value for point in one.points if point.finite][-1]), one)
        for one in series
        if one.short
    ]
    named.sort(key=lambda one: one[0])
    places = [end for end, _ in named]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + TITLE)
    if places:
        places[-1] = min(places[-1], BOTTOM)
    for i in range(len(places) - 1, 0, -1):
        places[i - 1] = min(places[i - 1], places[i] - TITLE)
    if any(abs(place - end) > 2 * TITLE for place, (end, _) in zip(places, named, strict=True)):
        return []
    return [(place, one) for place, (_, one) in zip(places, named, strict=True)]


def _point_labels(series: Series, x: Scale, y: Scale, taken: list[Box], frame: Box) -> list[str]:
    """The labels of points, the line's ends first, each where nothing is yet."""
    points = [point for point in series.points if point.finite and point.label]
    drawn = []
    for i in sorted(range(len(points)), key=lambda i: min(i, len(points) - 1 - i)):
        here = x(points[i].x.value), y(points[i].y.value)
        label = clipped(points[i].label, 110, TICK)
        wide = width_of(label, TICK)
        for right, below in ((1, 0), (0, 0), (1, 1), (0, 1)):
            left = here[0] + 6 if right else here[0] - 6 - wide
            base = here[1] + 15 if below else here[1] - 6
            box = left, base - TICK + 2, left + wide, base + 1
            inside = (
                frame[0] <= box[0] and frame[1] <= box[1]
                and box[2] <= frame[2] and box[3] <= frame[3]
            )  # fmt: skip
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                drawn.append(_text(left, base, label, "start", f"halo {_colour(series)}"))
                break
    return drawn


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    """Every number that an axis must reach."""
    ends = (end for one in estimates for end in (one.value, one.low, one.high))
    return [end for end in ends if end is not None and _drawable(end)]


def _drawable(value: float) -> bool:
    return abs(value) < 1e100  # neither not a number nor what differences of would overflow


def _around(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _text(x: float, y: float, text: str, anchor: str, name: str = "", about: str = "") -> str:
    title = f"<title>{escape(about)}</title>" if about and about != text else ""
    kind = f' class="{name}"' if name else ""
    return (
        f'<text{kind} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{title}{escape(text)}</text>'
    )


def _n(value: float) -> str:
    """A coordinate, as short as a tenth of a unit allows."""
    return f"{round(value, 1) + 0.0:g}"
