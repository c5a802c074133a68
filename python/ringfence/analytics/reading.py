"""How an answer of analytics is read: titles, words and colours of its columns, parts and figures. Pure.

Console and reports show the same by the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from ringfence.analytics.views import VIEWS, AnalyticsResult

ACTION_WORDS = {"allow": "Allow", "terminate": "Terminate", "redirect": "Redirect", "none": "No opinion"}
RESULT_WORDS = {
    "answered": "Answered",
    "busy": "Busy",
    "no_answer": "No answer",
    "cancelled": "Cancelled",
    "not_found": "Not found",
    "rejected": "Rejected",
    "redirected": "Redirected",
    "unauthorized": "Unauthorized",
    "failed": "Failed",
    "unfinished": "Unfinished",
}
OUTCOME_WORDS = ACTION_WORDS | RESULT_WORDS
GROUPING_WORDS = {
    "second": "Second",
    "minute": "Minute",
    "15_minutes": "15 minutes",
    "hour": "Hour",
    "day": "Day",
    "week": "Week",
    "hour_of_week": "Hour of the week",
    "period": "Whole time",
}
COMPARISON_WORDS = {
    "": "Nothing",
    "previous": "The time before",
    "day": "A day before",
    "week": "A week before",
    "four_weeks": "Four weeks before",
}

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

# The figures that a view is read by, in its order; others stand in the table.
FIGURES: dict[str, tuple[str, ...]] = {
    "average_cps": ("cps",),
    "peak_cps": ("peak",),
    "concurrent": ("peak", "average"),
    "asr": ("asr", "ser"),
    "ner": ("ner", "seer"),
    "acd": ("acd",),
    "pdd": ("average_ms", "max_ms"),
    "quality": ("mos",),
    "latency": ("p50_us", "p95_us", "p99_us"),
}
FIGURE_WORDS = {
    "cps": "calls a second",
    "peak": "peak",
    "average": "average",
    "average_ms": "average, ms",
    "max_ms": "longest, ms",
    "p50_us": "half within, µs",
    "p95_us": "95 % within, µs",
    "p99_us": "99 % within, µs",
    "acd": "seconds",
    "mos": "MOS",
}

_TITLES = {
    "time": "Time",
    "hour_of_week": "Hour of the week",
    "cps": "Calls a second",
    "peak": "Peak",
    "none": "No opinion",
    "asr": "ASR %",
    "ser": "SER %",
    "ner": "NER %",
    "seer": "SEER %",
    "isa": "ISA %",
    "acd": "ACD, s",
    "seconds": "Talk time, s",
    "average_ms": "Average, ms",
    "max_ms": "Longest, ms",
    "mos": "MOS",
    "loss": "Loss %",
    "average_us": "Average, µs",
    "p50_us": "50 %, µs",
    "p95_us": "95 %, µs",
    "p99_us": "99 %, µs",
    "max_us": "Longest, µs",
    "call_type": "Call type",
    "released_by": "Released by",
    "clock_offset_ms": "Clock off by, ms",
    "heard": "Heard from, %",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

Key = datetime | int


def plain(word: str) -> str:
    """`not_reached` → `not reached`."""
    return word.replace("_", " ")


def column_title(name: str) -> str:
    """A column's heading."""
    return (_TITLES | RESULT_WORDS).get(name, name.replace("_", " ").capitalize())


def has_totals(result: AnalyticsResult) -> bool:
    """Whether the calls of its rows add up to the calls of the period."""
    return "calls" in result.columns and "rank" not in result.columns and result.query.view != "device_health"


def lost_in_words(lost: Sequence[date]) -> str | None:
    """What a reader must know of days whose calls are gone; None when none is."""
    if not lost:
        return None
    days = str(lost[0]) if len(lost) == 1 else f"{len(lost)} days from {lost[0]} to {lost[-1]}"
    return f"The calls of {days} (UTC) are kept no more, and are not in these figures."


def total_calls(result: AnalyticsResult) -> int:
    """The calls of all rows; for a view without them whether there is any figure."""
    if "calls" in result.columns:
        place = result.columns.index("calls")
        return sum(row[place] or 0 for row in result.rows)
    return sum(1 for row in result.rows for value in row[1:] if isinstance(value, int | float) and value)


def name_of(result: AnalyticsResult, row: tuple[Any, ...]) -> str:
    """What a row of a view of parts or ranks is about."""
    if "rank" not in result.columns:
        return OUTCOME_WORDS.get(str(row[1]), plain(str(row[1])))
    return " → ".join(str(value) for value in row[2:-1])


def colours_of(result: AnalyticsResult) -> dict[str, str]:
    """name → the colour that it has in every bucket, the largest first."""
    words = VIEWS[result.query.view].chart == "parts"
    amounts: dict[str, int] = {}
    raw: dict[str, str] = {}
    for row in result.rows:
        name = name_of(result, row)
        amount = row[2] if words else row[-1]
        amounts[name] = amounts.get(name, 0) + (amount or 0) if words else max(amounts.get(name, 0), amount)
        raw[name] = str(row[1])
    ordered = sorted(amounts, key=lambda name: (-amounts[name], name))
    return {
        name: OUTCOME_COLOURS.get(raw[name], RANK_COLOURS[place % len(RANK_COLOURS)])
        for place, name in enumerate(ordered)
    }


def keys_of(result: AnalyticsResult) -> list[Key]:
    """The buckets that the rows name, in order."""
    return sorted({row[0] for row in result.rows})


def hour_of_week(hour: int) -> str:
    """`Mon 08:00` for 8."""
    return f"{_DAYS[hour // 24 % 7]} {hour % 24:02}:00"
