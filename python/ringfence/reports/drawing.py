"""A view's chart as SVG, for paper and mail, where no script runs. Pure.

It shows what the console's chart shows: the same figures, parts and colours (`analytics.reading`). Callers' names are
text of the picture, escaped; what cannot be shown in it is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Literal
from zoneinfo import ZoneInfo

from ringfence.analytics.reading import (
    FIGURE_WORDS,
    FIGURES,
    OUTCOME_COLOURS,
    OUTCOME_WORDS,
    RANK_COLOURS,
    SINGLE_COLOUR,
    Key,
    colours_of,
    hour_of_week,
    keys_of,
    name_of,
)
from ringfence.analytics.views import VIEWS, AnalyticsResult

WIDTH, HEIGHT = 720, 300
MAX_RANKED = 25
_MOST_PARTS = 9
_REST, _REST_COLOUR = "others", "#8995a1"
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 34, 30
_ROW = 22
_INK, _QUIET, _LINE = "#1d2733", "#5b6875", "#dfe4e9"
_FONT = "font-family='Libertinus Serif, serif'"
_LABELS = 8
_LEGEND = 6

Values = Sequence[float | None]


@dataclass(frozen=True)
class Series:
    """One figure or part, a value for each label."""

    name: str
    colour: str
    values: Values
    is_dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """`ranking`: a bar for each label, of one series whose colours are `colours`."""

    kind: Literal["bars", "lines", "ranking"]
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    colours: tuple[str, ...] = ()


def chart_of(result: AnalyticsResult, compared: AnalyticsResult | None = None) -> Chart | None:
    """What is drawn of an answer; None for a view that is read as a table, and where nothing is."""
    chart = VIEWS[result.query.view].chart
    if chart == "table" or not result.rows:
        return None
    if chart == "line":
        return _figures(result, compared)
    if chart == "stack":
        return _stack(result)
    return _ranking(result) if len(keys_of(result)) == 1 else _parts(result)


def time_label(key: Key, grouping: str, zone: str) -> str:
    """A bucket as its label says it, in the zone that it was cut by."""
    if not isinstance(key, datetime):
        return hour_of_week(key)
    local = key.astimezone(ZoneInfo(zone))
    if grouping in ("day", "week"):
        return f"{local:%Y-%m-%d}"
    return f"{local:%Y-%m-%d %H:%M:%S}" if grouping == "second" else f"{local:%Y-%m-%d %H:%M}"


def draw_svg(chart: Chart) -> str:
    """The picture, 720 wide."""
    if chart.kind == "ranking":
        return _draw_ranking(chart)
    tops = _stacked(chart) if chart.kind == "bars" else [value or 0 for one in chart.series for value in one.values]
    top, step = _scale(max(tops, default=0))
    parts = [*_grid(top, step), *_axis(chart.labels), *_legend(chart.series)]
    parts += _draw_bars(chart, top) if chart.kind == "bars" else _draw_lines(chart, top)
    return _picture(HEIGHT, parts)


def _figures(result: AnalyticsResult, compared: AnalyticsResult | None) -> Chart:
    query = result.query
    names = [name for name in FIGURES.get(query.view, ("calls",)) if name in result.columns]
    series = [
        Series(
            FIGURE_WORDS.get(name, name.upper()),
            SINGLE_COLOUR if place == 0 else RANK_COLOURS[place],
            [row[result.columns.index(name)] for row in result.rows],
        )
        for place, name in enumerate(names)
    ]
    if compared is not None and names:
        column = compared.columns.index(names[0])
        earlier: list[float | None] = [row[column] for row in compared.rows[: len(result.rows)]]
        earlier += [None] * (len(result.rows) - len(earlier))
        series.append(Series("before", _REST_COLOUR, earlier, is_dashed=True))
    return Chart("lines", _labels(result, [row[0] for row in result.rows]), tuple(series))


def _stack(result: AnalyticsResult) -> Chart:
    series = [
        Series(OUTCOME_WORDS.get(word, word), OUTCOME_COLOURS[word], [row[column] for row in result.rows])
        for column, word in list(enumerate(result.columns))[2:]
        if any(row[column] for row in result.rows)
    ]
    return Chart("bars", _labels(result, [row[0] for row in result.rows]), tuple(series))


def _parts(result: AnalyticsResult) -> Chart:
    keys = keys_of(result)
    place = {key: index for index, key in enumerate(keys)}
    colours = colours_of(result)
    shown = list(colours)[:_MOST_PARTS]
    amounts: dict[str, list[float | None]] = {name: [None] * len(keys) for name in (*shown, _REST)}
    column = len(result.columns) - 1 if "rank" in result.columns else 2
    for row in result.rows:
        name = name_of(result, row)
        one = amounts[name if name in shown else _REST]
        one[place[row[0]]] = (one[place[row[0]]] or 0) + (row[column] or 0)
    series = [Series(name, colours[name], amounts[name]) for name in shown]
    if len(colours) > _MOST_PARTS:
        series.append(Series(_REST, _REST_COLOUR, amounts[_REST]))
    return Chart("bars", _labels(result, keys), tuple(series))


def _ranking(result: AnalyticsResult) -> Chart:
    is_ranked = "rank" in result.columns
    rows = result.rows[:MAX_RANKED]
    values = [row[-1] if is_ranked else row[2] for row in rows]
    colours = [SINGLE_COLOUR if is_ranked else OUTCOME_COLOURS.get(str(row[1]), SINGLE_COLOUR) for row in rows]
    names = tuple(name_of(result, row) for row in rows)
    return Chart("ranking", names, (Series("calls", SINGLE_COLOUR, values),), tuple(colours))


def _labels(result: AnalyticsResult, keys: Sequence[Key]) -> tuple[str, ...]:
    return tuple(time_label(key, result.query.grouping, result.query.zone) for key in keys)


def _stacked(chart: Chart) -> list[float]:
    return [sum(one.values[index] or 0 for one in chart.series) for index in range(len(chart.labels))]


def _scale(highest: float) -> tuple[float, float]:
    """The axis' upper end and the distance of its lines: three to five, at round figures."""
    if highest <= 0:
        return 1.0, 1.0
    power: float = 1.0
    while power * 10 <= highest:
        power *= 10
    while power > highest:
        power /= 10
    step = next(part * power for part in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if highest <= 5 * part * power)
    return -(-highest // step) * step, step


def _x(index: float, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * index / max(count, 1)


def _y(top: float) -> Callable[[float], float]:
    return lambda value: HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top


def _grid(top: float, step: float) -> list[str]:
    y = _y(top)
    parts = []
    for line in range(round(top / step) + 1):
        height = y(line * step)
        parts.append(f"<path d='M{_LEFT} {height:.1f}H{WIDTH - _RIGHT}' stroke='{_LINE}'/>")
        parts.append(_text(_LEFT - 6, height + 4, _figure(line * step), anchor="end"))
    return parts


def _axis(labels: Sequence[str]) -> list[str]:
    every = -(-len(labels) // _LABELS)
    # What all have in common, the year or the day, would only fill the line.
    cut = 5 if len({label[:5] for label in labels}) == 1 and labels and labels[0][4:5] == "-" else 0
    if cut and len({label[:11] for label in labels}) == 1 and len(labels[0]) > 11:
        cut = 11
    return [
        _text(_x(index + 0.5, len(labels)), HEIGHT - 10, labels[index][cut:], anchor="middle")
        for index in range(0, len(labels), every or 1)
    ]


def _legend(series: Sequence[Series]) -> list[str]:
    if len(series) < 2:
        return []
    parts: list[str] = []
    width = (WIDTH - _LEFT - _RIGHT) / min(len(series), _LEGEND)
    for place, one in enumerate(series):
        x, y = _LEFT + place % _LEGEND * width, 10 + place // _LEGEND * 14
        parts.append(f"<rect x='{x:.1f}' y='{y - 8}' width='9' height='9' rx='2' fill='{one.colour}'/>")
        parts.append(_text(x + 13, y, _cut(one.name, round(width / 6.2) - 2)))
    return parts


def _draw_bars(chart: Chart, top: float) -> list[str]:
    y = _y(top)
    count = len(chart.labels)
    width = max(min((WIDTH - _LEFT - _RIGHT) / count * 0.78, 34), 0.6)
    parts = []
    for index in range(count):
        base = 0.0
        for one in chart.series:
            value = one.values[index] or 0
            if value:
                upper, lower = y(base + value), y(base)
                parts.append(
                    f"<rect x='{_x(index + 0.5, count) - width / 2:.1f}' y='{upper:.1f}' width='{width:.1f}'"
                    f" height='{lower - upper:.1f}' fill='{one.colour}'/>"
                )
                base += value
    return parts


def _draw_lines(chart: Chart, top: float) -> list[str]:
    y = _y(top)
    count = len(chart.labels)
    parts = []
    for one in reversed(chart.series):
        path, is_down = [], False
        for index, value in enumerate(one.values):
            if value is None:
                is_down = False
                continue
            path.append(f"{'L' if is_down else 'M'}{_x(index + 0.5, count):.1f} {y(value):.1f}")
            is_down = True
            if not one.is_dashed and count <= 60:
                parts.append(
                    f"<circle cx='{_x(index + 0.5, count):.1f}' cy='{y(value):.1f}' r='2.5' fill='{one.colour}'/>"
                )
        dashes = " stroke-dasharray='5 4'" if one.is_dashed else ""
        parts.append(f"<path d='{''.join(path)}' fill='none' stroke='{one.colour}' stroke-width='2'{dashes}/>")
    return parts


def _draw_ranking(chart: Chart) -> str:
    (series,) = chart.series
    highest = max((value or 0 for value in series.values), default=0) or 1
    left, right = 210, 70
    parts = []
    for index, (label, value) in enumerate(zip(chart.labels, series.values, strict=True)):
        y = 8 + index * _ROW
        width = (WIDTH - left - right) * (value or 0) / highest
        parts.append(_text(left - 8, y + 14, _cut(label, 34), anchor="end"))
        parts.append(
            f"<rect x='{left}' y='{y + 3}' width='{width:.1f}' height='15' rx='2' fill='{chart.colours[index]}'/>"
        )
        parts.append(_text(left + width + 6, y + 14, _figure(value or 0)))
    return _picture(16 + len(chart.labels) * _ROW, parts)


def _text(x: float, y: float, words: str, *, anchor: str = "start") -> str:
    shown = "".join(one if one.isprintable() else "�" for one in words)
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='11.5' fill='{_QUIET}' text-anchor='{anchor}' {_FONT}>"
        f"{escape(shown)}</text>"
    )


def _picture(height: int, parts: Sequence[str]) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'>"
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>{''.join(parts)}</svg>"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
