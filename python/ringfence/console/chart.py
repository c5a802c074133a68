"""Analytics rows → an ECharts drawing and the links behind its bars. Pure.

Colours are those of the words of actions and results; axes and text take theirs from the theme (`console.css`).
Names come from callers: they are passed as data, which ECharts escapes in tooltips and draws as SVG text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ringfence.analytics.enforcement.question import VERDICTS
from ringfence.analytics.enforcement.report import EnforcementReport
from ringfence.analytics.views import AnalyticsQuery, AnalyticsResult
from ringfence.console.address import iso, link
from ringfence.console.words import ACTION_WORDS, RESULT_WORDS, VERDICT_COLOURS, VERDICT_WORDS
from ringfence.vocabulary import Dataset

OUTCOME_WORDS = ACTION_WORDS | RESULT_WORDS

OUTCOME_COLOURS = {
    "allow": "#2f9e6a",
    "terminate": "#d9534f",
    "redirect": "#8a6ee0",
    "none": "#8995a1",
    "answered": "#2f9e6a",
    "busy": "#d98a3a",
    "no_answer": "#b0a030",
    "cancelled": "#4a9bb0",
    "not_found": "#c45c9b",
    "rejected": "#d9534f",
    "redirected": "#8a6ee0",
    "unauthorized": "#a0715a",
    "failed": "#a33a3a",
    "unfinished": "#8995a1",
}
RANK_COLOURS = (
    "#0d8a7e", "#3f7fd0", "#8a6ee0", "#c45c9b", "#d9534f", "#d98a3a", "#b0a030", "#5f9e48", "#4a9bb0", "#8995a1",
)  # fmt: skip
SINGLE_COLOUR = "#1c9a8c"

# More bars than pixels say nothing; a coarser grouping does.
MAX_BARS = 3000

RowLink = Callable[[tuple[Any, ...]], str]


def bucket_end(start: datetime, grouping: str, zone: str) -> datetime:
    """First instant after the bucket that begins at `start`; a local day may have 23 or 25 hours."""
    if grouping != "day":
        length = timedelta(minutes=1) if grouping == "minute" else timedelta(hours=1)
        return start + length
    midnight = datetime.combine(start.astimezone(ZoneInfo(zone)).date() + timedelta(days=1), datetime.min.time())
    return midnight.replace(tzinfo=ZoneInfo(zone))


def rows_behind(query: AnalyticsQuery, row: tuple[Any, ...]) -> dict[str, str | None]:
    """Parameters of the call log that show exactly the calls a row counts."""
    start: datetime = row[0]
    parameters = {
        "dataset": query.dataset.word,
        "device": query.device,
        "start": iso(max(start, query.start)),
        "end": iso(min(bucket_end(start, query.grouping, query.zone), query.end)),
    }
    side = {"top_source": "source", "top_destination": "destination"}.get(query.view)
    return {**parameters, side: str(row[2])} if side else parameters


def call_link(query: AnalyticsQuery, row: tuple[Any, ...], **more: str) -> str:
    """Address of the call log with the rows behind `row`."""
    return link("/calls", {**rows_behind(query, row), **more})


def draw(result: AnalyticsResult) -> dict[str, Any]:
    """The ECharts options for any view."""
    view = result.query.view
    if view == "average_cps":
        return _over_time(result, [("calls a second", 2, SINGLE_COLOUR, None)], decimals=2)
    if view == "calls":
        words = list(enumerate(result.columns))[2:]
        if result.query.dataset is Dataset.SIP:  # ten results; those that no call had would only fill the legend
            words = [(index, word) for index, word in words if any(row[index] for row in result.rows)]
        stacks = [(word, index, OUTCOME_COLOURS[word], word) for index, word in words]
        return _over_time(result, stacks, decimals=0)
    if len({row[0] for row in result.rows}) <= 1:
        return _ranking(result)
    return _ranks_over_time(result)


def number_colours(result: AnalyticsResult) -> dict[str, str]:
    """number → the colour it has in every bucket, the numbers with the highest bars first."""
    colours: dict[str, str] = {}
    for row in sorted(result.rows, key=lambda row: (-row[3], str(row[2]))):
        colours.setdefault(row[2], RANK_COLOURS[len(colours) % len(RANK_COLOURS)])
    return colours


def _over_time(
    result: AnalyticsResult, stacks: Sequence[tuple[str, int, str, str | None]], *, decimals: int
) -> dict[str, Any]:
    series = []
    field = "result" if result.query.dataset is Dataset.SIP else "action"
    for name, column, colour, outcome in stacks:
        more = {field: outcome} if outcome else {}
        data = [
            {"value": round(row[column], 6), "link": call_link(result.query, row, **more)} if row[column] else 0
            for row in result.rows
        ]
        series.append(bars(OUTCOME_WORDS.get(name, name), colour, data, stacked=len(stacks) > 1))
    options = axes([row[0] for row in result.rows], result.query.grouping)
    options["tooltip"]["trigger"] = "axis"
    options["tooltip"][":valueFormatter"] = (
        f"(value) => Number(value).toLocaleString('en', {{maximumFractionDigits: {decimals}}})"
    )
    if len(stacks) > 1:
        options["grid"]["top"] = 34
    options["legend"] = {
        "show": len(stacks) > 1,
        "top": 0,
        "right": 0,
        "icon": "roundRect",
        "itemWidth": 10,
        "itemHeight": 10,
    }
    return {**options, "series": series}


def _ranks_over_time(result: AnalyticsResult) -> dict[str, Any]:
    """One bar for each bucket, cut into its ranked numbers; a number keeps its colour across buckets."""
    bounds = sorted({row[0] for row in result.rows})
    place = {bound: index for index, bound in enumerate(bounds)}
    colours = number_colours(result)
    ranks: dict[int, list[Any]] = {}
    for row in result.rows:
        segments = ranks.setdefault(row[1], ["-"] * len(bounds))
        segments[place[row[0]]] = {
            "value": row[3],
            "name": str(row[2]),
            "link": call_link(result.query, row),
            "itemStyle": {"color": colours[row[2]]},
        }
    options = axes(bounds, result.query.grouping)
    options["tooltip"]["trigger"] = "item"
    series = [bars(f"Rank {rank}", SINGLE_COLOUR, ranks[rank], stacked=True) for rank in sorted(ranks)]
    return {**options, "series": series}


def draw_verdicts(report: EnforcementReport) -> dict[str, Any]:
    """Calls over time, cut into what became of the decisions about them; each part leads to its calls."""
    grouping = "minute" if report.bucket_s < 24 * 3600 else "day"
    length = timedelta(seconds=report.bucket_s)
    options = axes(report.buckets, grouping)
    series = []
    for word in reversed(VERDICTS):
        counts = [row[VERDICTS.index(word)] for row in report.series]
        data = [
            {"value": count, "link": _verdict_link(report, word, start, start + length)} if count else "-"
            for start, count in zip(report.buckets, counts, strict=True)
        ]
        series.append(bars(VERDICT_WORDS[word], VERDICT_COLOURS[word], data, stacked=True))
    options["tooltip"]["trigger"] = "axis"
    options["grid"]["top"] = 34
    options["legend"] = {"show": True, "top": 0, "right": 0, "icon": "roundRect", "itemWidth": 10, "itemHeight": 10}
    return {**options, "series": series}


def _verdict_link(report: EnforcementReport, verdict: str, start: datetime, end: datetime) -> str:
    query = report.query
    parameters = {
        "verdict": verdict,
        "device": query.device,
        "number": query.number,
        "start": iso(max(start, query.start)),
        "end": iso(min(end, query.end)),
    }
    return link("/enforcement", parameters)


def _ranking(result: AnalyticsResult) -> dict[str, Any]:
    """One bucket: a bar for each number, the highest on top."""
    data = [{"value": row[3], "link": call_link(result.query, row)} for row in result.rows]
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
            "data": [str(row[2]) for row in result.rows],
            "axisTick": {"show": False},
            "axisLine": {"show": False},
            "axisLabel": {"width": 150, "overflow": "truncate"},
        },
        "series": [ranking],
    }


def axes(bounds: Sequence[datetime], grouping: str) -> dict[str, Any]:
    """Options of a chart over time, without its series."""
    bucket = f"(value) => rf.bucket(value, '{grouping}')"
    return {
        "animation": False,
        "grid": {"left": 4, "right": 16, "top": 12, "bottom": 4, "containLabel": True},
        "tooltip": {
            "className": "chart-tip",
            "confine": True,
            "axisPointer": {
                "type": "shadow",
                "label": {":formatter": f"(point) => rf.bucket(point.value, '{grouping}')"},
            },
        },
        "xAxis": {
            "type": "category",
            "data": [iso(bound) for bound in bounds],
            "axisLabel": {":formatter": bucket, "hideOverlap": True},
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": "#8995a155"}},
        },
        "yAxis": {"type": "value", "minInterval": 0, "splitLine": {"lineStyle": {"color": "#8995a130"}}},
    }


def bars(name: str, colour: str, data: list[Any], *, stacked: bool) -> dict[str, Any]:
    """A series of bars."""
    return {
        "name": name,
        "type": "bar",
        "data": data,
        "stack": "all" if stacked else None,
        "barMaxWidth": 34,
        "barCategoryGap": "22%",
        "itemStyle": {"color": colour, "borderRadius": 0 if stacked else 3},
        "emphasis": {"focus": "none"},
    }
