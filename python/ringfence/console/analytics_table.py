"""The rows of an analytics answer as the table shows them, each figure with the link to its calls. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ringfence.analytics.reading import FIGURES, colours_of, column_title, hour_of_week, keys_of, name_of
from ringfence.analytics.views import OUTCOMES, VIEWS, AnalyticsResult
from ringfence.console.address import iso
from ringfence.console.chart_views import drill
from ringfence.console.numbers import national
from ringfence.console.words import ACTION_WORDS, RESULT_WORDS, plain
from ringfence.vocabulary import Dataset

_WIDTHS = {"time": 130, "hour_of_week": 130, "source": 170, "destination": 170, "rule": 150}
_TEXTS = ("source", "destination", "country", "call_type", "direction", "action", "result", "rule", "code",
          "released_by", "codec", "attestation", "device")  # fmt: skip
# Figures that stand for no calls of their own.
_UNLINKED = ("cps", "peak", "average", "asr", "ser", "ner", "seer", "isa", "acd", "seconds", "mos", "loss", "heard",
             "clock_offset_ms", "unsent", "lost", "packets", "streams", "monitored")  # fmt: skip


def table_columns(result: AnalyticsResult, *, has_before: bool = False) -> list[dict[str, Any]]:
    """The columns of AG Grid."""
    columns: list[dict[str, Any]] = []
    for name in result.columns:
        column: dict[str, Any] = {"field": name, "headerName": column_title(name)}
        if name == "time":
            column[":cellRenderer"] = "rf.cells.bucket"
        elif name in ("rank", "hour_of_week"):
            column |= {"maxWidth": 84} if name == "rank" else {}
        elif name in _TEXTS:
            column[":cellRenderer"] = "rf.cells.linked"
        elif name in _UNLINKED or name.endswith(("_us", "_ms")):
            column |= {"type": "rightAligned", ":valueFormatter": "rf.figure"}
        else:
            column |= {"type": "rightAligned", ":cellRenderer": "rf.cells.linked"}
        columns.append(column | ({"minWidth": _WIDTHS[name]} if name in _WIDTHS else {}))
    if has_before:
        columns += [
            {"field": "before", "headerName": "Before", "type": "rightAligned", ":valueFormatter": "rf.figure"},
            {"field": "change", "headerName": "Change", "type": "rightAligned", ":valueFormatter": "rf.change"},
        ]
    return columns


def table_rows(result: AnalyticsResult, compared: AnalyticsResult | None = None) -> list[dict[str, Any]]:
    """The same rows as the chart's, newest bucket first."""
    chart = VIEWS[result.query.view].chart
    has_colours = chart in ("ranks", "parts") and len(keys_of(result)) > 1
    colours = colours_of(result) if has_colours else {}
    order = sorted(range(len(result.rows)), key=lambda index: result.rows[index][0], reverse=True)
    rows = []
    for place in order:
        row = result.rows[place]
        values = _row(result, row, f"{place}")
        if colours:
            values[
                f"{'source' if 'source' in result.columns else result.columns[2 if chart == 'ranks' else 1]}_colour"
            ] = colours[name_of(result, row)]
        if compared is not None and place < len(compared.rows):
            values |= _before(result, row, compared.rows[place])
        rows.append(values)
    return rows


def _row(result: AnalyticsResult, row: tuple[Any, ...], key: str) -> dict[str, Any]:
    query = result.query
    values: dict[str, Any] = dict(zip(result.columns, row, strict=True))
    first = row[0]
    if isinstance(first, datetime):
        values["time"] = iso(first)
    else:
        values["hour_of_week"] = hour_of_week(first)
    values |= {"grouping": query.grouping, "link": drill(result, row), "id": f"{first}/{key}"}
    field = "result" if query.dataset is Dataset.SIP else "action"
    for outcome in OUTCOMES[query.dataset]:
        if VIEWS[query.view].chart == "stack" and outcome.word in values:
            values[f"{outcome.word}_link"] = drill(result, row, **{field: outcome.word})
    for side in ("source", "destination"):
        if side in values:
            values[f"{side}_national"] = national(values[side])
    for name, words in (("action", ACTION_WORDS), ("result", RESULT_WORDS)):
        if name in values:
            values[name] = words.get(values[name], values[name])
    for name in ("call_type", "direction", "released_by"):
        if name in values:
            values[name] = plain(str(values[name]))
    return values


def _before(result: AnalyticsResult, row: tuple[Any, ...], earlier: tuple[Any, ...]) -> dict[str, Any]:
    figure = next(iter(FIGURES.get(result.query.view, ())), "calls")
    place = result.columns.index(figure)
    now, then = row[place], earlier[place]
    return {"before": then, "change": None if not then or now is None else (now - then) / then}
