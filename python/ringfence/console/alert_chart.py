"""The calls around an alert as a chart, with the moment that passed the threshold. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ringfence.analytics.drill import bucket_end
from ringfence.analytics.reading import OUTCOME_COLOURS, OUTCOME_WORDS
from ringfence.console.address import iso, link
from ringfence.console.chart import axes, bars
from ringfence.detection.alerts.alert import Alert
from ringfence.detection.alerts.evidence import asked_calls
from ringfence.vocabulary import Dataset


def draw_series(alert: Alert, found: dict[str, Any]) -> dict[str, Any]:
    """ECharts options of an evidence's series, cut into what became of the calls; each part leads to its calls."""
    grouping = found["series"]["grouping"]
    columns, rows = found["series"]["columns"], found["series"]["rows"]
    starts = [datetime.fromisoformat(row[0]) for row in rows]
    end = datetime.fromisoformat(found["end"])
    outcome = "result" if alert.dataset == Dataset.SIP.word else "action"
    base = {"dataset": alert.dataset, **asked_calls(alert)}
    options = axes(starts, grouping)
    series = []
    for place, word in list(enumerate(columns))[2:]:
        if not any(row[place] for row in rows):
            continue
        data = [
            {"value": row[place],
             "link": link("/calls", base | {outcome: word, "start": iso(start),
                                            "end": iso(bucket_end(start, grouping, "UTC", end))})}
            if row[place] else "-"
            for start, row in zip(starts, rows, strict=True)
        ]  # fmt: skip
        series.append(bars(OUTCOME_WORDS.get(word, word), OUTCOME_COLOURS[word], data, stacked=True))
    passed = max((index for index, start in enumerate(starts) if start <= alert.first_at), default=0)
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "z": 5,
        "lineStyle": {"color": "#8995a1", "type": "dashed", "width": 2},
        "label": {"formatter": "threshold passed", "color": "#8995a1", "position": "end"},
        "data": [{"xAxis": passed}],
    }
    options["tooltip"]["trigger"] = "axis"
    options["grid"]["top"] = 34
    options["legend"] = {"show": True, "top": 0, "left": 0, "icon": "roundRect", "itemWidth": 10, "itemHeight": 10}
    return {**options, "series": series}
