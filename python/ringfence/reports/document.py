"""What a report says, as plain texts: JSON can carry it; mail and paper only lay it out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ringfence.analytics.asking import filter_words
from ringfence.analytics.reading import (
    COMPARISON_WORDS,
    GROUPING_WORDS,
    OUTCOME_WORDS,
    column_title,
    has_totals,
    lost_in_words,
    plain,
    total_calls,
)
from ringfence.analytics.views import VIEWS, AnalyticsResult
from ringfence.reports.drawing import chart_of, draw_svg, time_label

# Rows of the mail's table and of the printed one; what is beyond is told.
MAX_MAIL_ROWS = 100
MAX_ROWS = 2000
_WORDS = ("action", "result")
_PLAIN = ("call_type", "direction", "released_by")


@dataclass(frozen=True)
class Occasion:
    """What a report is called, and which sending of it this is."""

    report: str
    period: str
    made_at: datetime


def build_document(
    occasion: Occasion, result: AnalyticsResult, compared: AnalyticsResult | None, against: str | None
) -> dict[str, Any]:
    """Title, facts, chart as SVG (or null) and table of a report, the newest bucket first."""
    query = result.query
    view, grouping = VIEWS[query.view], GROUPING_WORDS[query.grouping].lower()
    # The newest bucket first, and within a bucket the order of the answer; hours of the week as the week has them.
    rows = sorted(result.rows, key=lambda row: row[0], reverse=query.grouping != "hour_of_week")
    chart = chart_of(result, compared)
    # The one bucket of the whole time is told above.
    shown = result.columns[1:] if query.grouping == "period" else result.columns
    return {
        "name": occasion.report,
        "period": occasion.period,
        "title": view.title if query.grouping == "period" else f"{view.title} by {grouping}",
        "facts": [list(fact) for fact in _facts(result, compared, against)],
        "chart": draw_svg(chart) if chart is not None else None,
        "head": [column_title(name) for name in shown],
        "numeric": [any(isinstance(row[place], int | float) for row in rows) and name != result.columns[0]
                    for place, name in enumerate(result.columns) if name in shown],
        "rows": [_row(result, row)[-len(shown) :] for row in rows[:MAX_ROWS]],
        "all_rows": len(rows),
        "made_at": moment(occasion.made_at, query.zone),
    }  # fmt: skip


def moment(at: datetime, zone: str) -> str:
    """A time for people, in a zone that is named."""
    return f"{_local(at, zone)} {zone}"


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _facts(result: AnalyticsResult, compared: AnalyticsResult | None, against: str | None) -> list[tuple[str, str]]:
    query = result.query
    facts = [
        ("Time", f"{_local(query.start, query.zone)} to {moment(query.end, query.zone)}"),
        ("Dataset", query.dataset.name),
        ("Device", _shown(query.device or "All")),
        *((column_title(name), _shown(plain(word))) for name, word in filter_words(query.filter).items()),
    ]
    if has_totals(result):
        facts.append(("Calls", f"{total_calls(result):,}"))
    if (missing := lost_in_words(result.lost)) is not None:
        facts.append(("Missing", missing))
    if compared is not None and against is not None:
        facts.append((f"Compared with {COMPARISON_WORDS[against].lower()}", _change(result, compared)))
    return facts


def _change(result: AnalyticsResult, compared: AnalyticsResult) -> str:
    since = moment(compared.query.start, compared.query.zone)
    if not has_totals(result):
        return f"from {since}"
    now, then = total_calls(result), total_calls(compared)
    change = f" ({(now - then) / then:+.1%})" if then else ""
    return f"{then:,} calls from {since}{change}"


def _row(result: AnalyticsResult, row: tuple[Any, ...]) -> list[str]:
    query = result.query
    cells = [time_label(row[0], query.grouping, query.zone)]
    for name, value in list(zip(result.columns, row, strict=True))[1:]:
        if value is None:
            cells.append("–")
        elif isinstance(value, float):
            cells.append(f"{value:,.2f}")
        elif isinstance(value, int):
            cells.append(f"{value:,}")
        elif name in _WORDS:
            cells.append(OUTCOME_WORDS.get(value, value))
        else:
            cells.append(plain(str(value)) if name in _PLAIN else _shown(str(value)))
    return cells


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else "�" for one in text)
