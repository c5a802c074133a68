"""Analytics answers → drawings, by the kind of chart that a view names; each mark leads to its calls. Pure.

Colours are those of the words of actions and results; axes and text take theirs from the theme (`console.css`).
Names come from callers: they are passed as data, which ECharts escapes in tooltips and draws as SVG text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ringfence.analytics.drill import calls_behind
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
from ringfence.console.address import link
from ringfence.console.chart import axes, bars
from ringfence.vocabulary import Dataset

_BARS = ("average_cps", "peak_cps")
# More parts than this cannot be told apart; the rest is one part.
_MOST_PARTS = 9
_REST = "others"
_REST_COLOUR = "#8995a1"


def draw_view(result: AnalyticsResult, compared: AnalyticsResult | None = None) -> dict[str, Any] | None:
    """The ECharts options; None for what is read as a table. `compared` is the earlier period, where one was asked."""
    chart = VIEWS[result.query.view].chart
    if chart == "table":
        return None
    if chart == "line":
        return _figures(result, compared)
    if chart == "stack":
        return _stack(result)
    keys = {row[0] for row in result.rows}
    if len(keys) <= 1:
        return _ranking(result)
    return _ranks(result) if chart == "ranks" else _parts(result)


def drill(result: AnalyticsResult, row: tuple[Any, ...], /, **more: str) -> str | None:
    """Address of the call log with the calls behind a row."""
    behind = calls_behind(result.query, result.columns, row)
    if behind is None:
        return None
    path = "/devices" if result.query.view == "device_health" else "/calls"
    return link(path, behind | more)


def _axes(result: AnalyticsResult, keys: list[Key]) -> dict[str, Any]:
    times = [key for key in keys if isinstance(key, datetime)]
    if len(times) == len(keys):
        return axes(times, result.query.grouping)
    options = axes([], "hour")
    options["xAxis"]["data"] = [hour_of_week(key) for key in keys if isinstance(key, int)]
    options["xAxis"]["axisLabel"] = {"hideOverlap": True}
    options["tooltip"]["axisPointer"] = {"type": "shadow"}
    return options


def _mark(result: AnalyticsResult, row: tuple[Any, ...], value: float, /, **more: str) -> dict[str, Any]:
    address = drill(result, row, **more)
    return {"value": round(value, 6)} | ({"link": address} if address else {})


def _figures(result: AnalyticsResult, compared: AnalyticsResult | None) -> dict[str, Any]:
    names = [name for name in FIGURES.get(result.query.view, ("calls",)) if name in result.columns]
    is_bars = result.query.view in _BARS
    series = []
    for place, name in enumerate(names):
        column = result.columns.index(name)
        colour = SINGLE_COLOUR if place == 0 else RANK_COLOURS[place]
        data: list[Any] = [
            (0 if is_bars else "-") if not row[column] and (is_bars or row[column] is None)
            else _mark(result, row, row[column])
            for row in result.rows
        ]  # fmt: skip
        words = FIGURE_WORDS.get(name, name.upper())
        series.append(bars(words, colour, data, stacked=False) if is_bars else _line(words, colour, data))
    if compared is not None and names:
        column = compared.columns.index(names[0])
        earlier = ["-" if row[column] is None else round(row[column], 6) for row in compared.rows][: len(result.rows)]
        series.append(_line("before", "#8995a1", earlier, dashed=True))
    options = _axes(result, [row[0] for row in result.rows])
    options["tooltip"]["trigger"] = "axis"
    options["tooltip"][":valueFormatter"] = (
        "(value) => value === '-' || value == null ? '–'"
        " : Number(value).toLocaleString('en', {maximumFractionDigits: 2})"
    )
    if result.query.view == "quality":
        options["yAxis"] |= {"min": 1, "max": 5}
    return _with_legend(options, series)


def _stack(result: AnalyticsResult) -> dict[str, Any]:
    field = "result" if result.query.dataset is Dataset.SIP else "action"
    series = []
    for column, word in list(enumerate(result.columns))[2:]:
        # Ten results; those that no call had would only fill the legend.
        if field == "result" and not any(row[column] for row in result.rows):
            continue
        data = [_mark(result, row, row[column], **{field: word}) if row[column] else 0 for row in result.rows]
        series.append(bars(OUTCOME_WORDS.get(word, word), OUTCOME_COLOURS[word], data, stacked=True))
    options = _axes(result, [row[0] for row in result.rows])
    options["tooltip"]["trigger"] = "axis"
    return _with_legend(options, series)


def _parts(result: AnalyticsResult) -> dict[str, Any]:
    """Stacked over time: a series for each of the largest parts, the rest in one."""
    keys = keys_of(result)
    place = {key: index for index, key in enumerate(keys)}
    colours = colours_of(result)
    shown = list(colours)[:_MOST_PARTS]
    data: dict[str, list[Any]] = {name: ["-"] * len(keys) for name in shown}
    rest = [0] * len(keys)
    for row in result.rows:
        name = name_of(result, row)
        if name in data:
            data[name][place[row[0]]] = _mark(result, row, row[2])
        else:
            rest[place[row[0]]] += row[2]
    series = [bars(name, colours[name], data[name], stacked=True) for name in shown]
    if len(colours) > _MOST_PARTS:
        series.append(bars(_REST, _REST_COLOUR, rest, stacked=True))
    options = _axes(result, keys)
    options["tooltip"]["trigger"] = "axis"
    return _with_legend(options, series)


def _ranks(result: AnalyticsResult) -> dict[str, Any]:
    """One bar for each bucket, cut into its ranked numbers; a number keeps its colour across buckets."""
    keys = keys_of(result)
    place = {key: index for index, key in enumerate(keys)}
    colours = colours_of(result)
    ranks: dict[int, list[Any]] = {}
    for row in result.rows:
        name = name_of(result, row)
        segments = ranks.setdefault(row[1], ["-"] * len(keys))
        segments[place[row[0]]] = _mark(result, row, row[-1]) | {"name": name, "itemStyle": {"color": colours[name]}}
    options = _axes(result, keys)
    options["tooltip"]["trigger"] = "item"
    series = [bars(f"Rank {rank}", SINGLE_COLOUR, ranks[rank], stacked=True) for rank in sorted(ranks)]
    return {**options, "series": series}


def _ranking(result: AnalyticsResult) -> dict[str, Any]:
    """One bucket: a bar for each number or part, the highest on top."""
    is_ranked = "rank" in result.columns
    rows = result.rows if is_ranked else result.rows[:25]
    amounts = [row[-1] if is_ranked else row[2] for row in rows]
    colours: Mapping[str, str] = {} if is_ranked else {
        name_of(result, row): OUTCOME_COLOURS.get(str(row[1]), SINGLE_COLOUR) for row in rows
    }  # fmt: skip
    data = [
        _mark(result, row, amount) | ({"itemStyle": {"color": colours[name_of(result, row)]}} if colours else {})
        for row, amount in zip(rows, amounts, strict=True)
    ]
    ranking = bars("calls", SINGLE_COLOUR, data, stacked=False)
    ranking["label"] = {"show": True, "position": "right", "color": "#8995a1", "textBorderWidth": 0}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 48, "top": 8, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "item", "className": "chart-tip", "confine": True},
        "xAxis": {"type": "value", "show": False},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [name_of(result, row) for row in rows],
            "axisTick": {"show": False},
            "axisLine": {"show": False},
            "axisLabel": {"width": 150, "overflow": "truncate"},
        },
        "series": [ranking],
    }


def _line(name: str, colour: str, data: list[Any], *, dashed: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "data": data,
        "symbolSize": 7,
        "showSymbol": len(data) <= 60 and not dashed,
        "connectNulls": False,
        "lineStyle": {"width": 2, "type": "dashed" if dashed else "solid"},
        "itemStyle": {"color": colour},
        "triggerLineEvent": False,
    }


def _with_legend(options: dict[str, Any], series: list[dict[str, Any]]) -> dict[str, Any]:
    many = len(series) > 1
    if many:
        options["grid"]["top"] = 34
    legend = {"show": many, "type": "scroll", "top": 0, "right": 0, "icon": "roundRect", "itemWidth": 10,
              "itemHeight": 10, "width": "88%", "left": "auto"}  # fmt: skip
    return {**options, "legend": legend, "series": series}
