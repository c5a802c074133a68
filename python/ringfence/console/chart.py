"""What every drawing has: colours, axes, bars; and what became of decisions over time. Pure.

Colours are those of the words of actions and results; axes and text take theirs from the theme (`console.css`).
Names come from callers: they are passed as data, which ECharts escapes in tooltips and draws as SVG text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ringfence.analytics.enforcement.question import VERDICTS
from ringfence.analytics.enforcement.report import EnforcementReport
from ringfence.console.address import iso, link
from ringfence.console.words import VERDICT_COLOURS, VERDICT_WORDS

# More bars than pixels say nothing; a coarser grouping does.
MAX_BARS = 3000


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
