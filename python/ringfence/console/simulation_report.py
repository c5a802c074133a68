"""A simulation on the page: before and after, what would change, for whom, by which rules, and sample calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ringfence.analytics.reading import OUTCOME_COLOURS
from ringfence.console import chart
from ringfence.console.address import iso, link
from ringfence.console.call_drawer import number
from ringfence.console.drawing import Drawing
from ringfence.console.markup import Tag, moment
from ringfence.console.rule_table import lay_out_caution
from ringfence.console.words import ACTION_WORDS

# Kind of change → words, the action whose colour it has.
KINDS = {
    "newly_blocked": ("Newly blocked", "terminate"),
    "newly_redirected": ("Newly redirected", "redirect"),
    "changed_target": ("Redirected elsewhere", "none"),
    "newly_allowed": ("Newly allowed", "allow"),
}
SAMPLES_SHOWN = 8
TOP_SHOWN = 8
Report = Mapping[str, Any]


def lay_out_report(report: Report) -> None:
    """All of it, the figures first."""
    _lay_out_tiles(report)
    for caution in report["cautions"]:
        lay_out_caution(str(caution))
    if report["calls"]:
        with Tag("section", classes="card"):
            Tag("h2", "Before and after")
            _lay_out_meters(report)
    if report["changed"]:
        with Tag("section", classes="card"):
            Tag("h2", "What would change, over time")
            Drawing(draw_changes(report)).classes("small")
        with Tag("div", classes="halves"):
            for side in ("destination", "source"):
                _lay_out_top(report, side)
    _lay_out_rules(report)
    if report["changed"]:
        _lay_out_samples(report)


def draw_changes(report: Report) -> dict[str, Any]:
    """Options of the chart of changes. Pure."""
    over: Mapping[str, Any] = report["over_time"]
    bounds = [datetime.fromisoformat(start) for start in over["buckets"]]
    length = timedelta(seconds=over["bucket_s"])
    series = []
    for kind, (words, action) in KINDS.items():
        data = [
            {"value": calls, "link": link("/calls", {"start": iso(start), "end": iso(start + length)})} if calls else 0
            for start, calls in zip(bounds, over["changes"][kind], strict=True)
        ]
        if any(data):
            series.append(chart.bars(words, OUTCOME_COLOURS[action], data, stacked=True))
    options = chart.axes(bounds, "day" if over["bucket_s"] >= 86_400 else "minute")
    options["tooltip"]["trigger"] = "axis"
    options["grid"]["top"] = 34
    options["legend"] = {"show": True, "top": 0, "right": 0, "icon": "roundRect", "itemWidth": 10, "itemHeight": 10}
    return {**options, "series": series}


def _lay_out_tiles(report: Report) -> None:
    with Tag("div", classes="tiles"):
        with Tag("div", classes="tile"):
            Tag("div", "Calls replayed", classes="label")
            Tag("div", f"{report['calls']:,}", classes="value", data_testid="replayed")
            Tag("div", f"{report['candidate']['title']} against {report['against']['title']}", classes="more")
        for kind, (words, action) in KINDS.items():
            calls = report["kinds"][kind]
            if kind == "changed_target" and not calls:
                continue
            with Tag("div", classes="tile"):
                Tag("div", words, classes="label")
                Tag("div", f"{calls:,}", classes=f"value ink-{action}" if calls else "value", data_testid=kind)
                Tag("div", _share(calls, report["calls"]), classes="more")


def _lay_out_meters(report: Report) -> None:
    with Tag("div", classes="stack"):
        for when, title in (("before", report["against"]["title"]), ("after", report["candidate"]["title"])):
            actions: Mapping[str, int] = report["actions"][when]
            shares = {word: actions.get(word, 0) for word in ACTION_WORDS if actions.get(word)}
            words = ", ".join(f"{ACTION_WORDS[word]} {calls:,}" for word, calls in shares.items())
            with Tag("div", classes="metered"):
                Tag("b", f"{'Before' if when == 'before' else 'After'}: {title}")
                with Tag("div", classes="meter", role="img", aria_label=words, title=words):
                    for word, calls in shares.items():
                        Tag("span", classes=f"fill-{word}").style(f"flex: {calls}")
                Tag("div", words, classes="muted")


def _lay_out_top(report: Report, side: str) -> None:
    rows = report["top"][side][:TOP_SHOWN]
    with Tag("section", classes="card"):
        Tag("h2", f"{side.capitalize()}s with most changed calls")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for row in rows:
                with Tag("tr"):
                    with Tag("td"):
                        period = {
                            name: iso(datetime.fromisoformat(report["period"][name])) for name in ("start", "end")
                        }
                        with Tag("a", href=link("/calls", {side: str(row["number"]), **period})):
                            number(str(row["number"]))
                    with Tag("td"):
                        for kind, (words, action) in KINDS.items():
                            if row[kind]:
                                Tag("span", f"{words} {row[kind]:,}", classes=f"pill {action}")
                    Tag("td", f"{row['calls']:,}", classes="right")


def _lay_out_rules(report: Report) -> None:
    rules = [rule for rule in report["rules"] if rule["before"] or rule["after"] or rule["monitored"]]
    if not rules:
        return
    with Tag("section", classes="card"):
        Tag("h2", "By rule")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Rule", "Before", "After", "Would match in monitor mode"):
                    Tag("th", words, scope="col", classes="" if words == "Rule" else "right")
            with Tag("tbody"):
                for rule in rules:
                    with Tag("tr"):
                        with Tag("td"):
                            Tag("b", str(rule["name"]))
                            Tag("span", f" {rule['mode'] or 'not in it'}", classes="muted")
                        for part, label in (("before", "Before"), ("after", "After"), ("monitored", "Monitored")):
                            Tag("td", f"{rule[part]:,}", classes="right" if rule[part] else "right muted",
                                data_label=label)  # fmt: skip


def _lay_out_samples(report: Report) -> None:
    with Tag("section", classes="card"):
        Tag("h2", "Sample calls")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Time", "Source", "Destination", "Before", "After", "Device"):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for kind in KINDS:
                    for sample in report["samples"].get(kind, [])[:SAMPLES_SHOWN]:
                        _lay_out_sample(sample)


def _lay_out_sample(sample: Mapping[str, Any]) -> None:
    with Tag("tr"):
        with Tag("td", classes="number"):
            moment(str(sample["time"]))
        for side in ("source", "destination"):
            with Tag("td", data_label=side.capitalize()):
                number(str(sample[side]))
        for when in ("before", "after"):
            decided: Mapping[str, Any] = sample[when]
            with Tag("td", data_label=when.capitalize()), Tag("div"):
                Tag("span", ACTION_WORDS.get(str(decided["action"]), str(decided["action"])),
                    classes=f"pill {decided['action']}")  # fmt: skip
                words = " ".join(str(one) for one in (decided["rule"], decided["target"]) if one)
                Tag("div", words, classes="muted")
        Tag("td", str(sample["device"]), data_label="Device")


def _share(calls: int, total: int) -> str:
    return f"{100 * calls / total:.1f} % of the calls" if total else "no calls"
