"""The Overview: calls a second now, what was decided, who is connected, which policy is in force. Refreshes itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from ringfence.analytics.calls import Call, CallFilter, find_calls
from ringfence.analytics.views import AnalyticsQuery, AnalyticsResult, run_query
from ringfence.console.address import iso, link
from ringfence.console.alerts import lay_out_card, read_card
from ringfence.console.call_drawer import number
from ringfence.console.chart_views import draw_view
from ringfence.console.device_state import state_of
from ringfence.console.drawing import Drawing
from ringfence.console.frame import Region, View, every, load, page
from ringfence.console.gate import PAGES, why_closed
from ringfence.console.markup import Tag, moment
from ringfence.console.words import ACTION_WORDS
from ringfence.detection.alerts.alert import Alert
from ringfence.detection.firing import Severity
from ringfence.mediation.devices import DeviceStatus, list_devices
from ringfence.policy.versions import Version, list_versions
from ringfence.vocabulary import Action, Dataset

REFRESH_S = 2.0
STOPPED_SHOWN = 6
ALERTS_SHOWN = 4


@dataclass(frozen=True)
class Summary:
    """What the page shows, read in one transaction."""

    cps: float
    hour: AnalyticsResult
    stopped: list[Call]
    devices: list[DeviceStatus]
    newest: Version | None
    installed: Version | None
    alerts: tuple[dict[Severity, int], list[Alert]]


def read_summary(connection: psycopg.Connection, now: datetime, zone: str) -> Summary:
    """Ask the domain packages. Calls a second are those of the present and the previous minute."""

    def ask(view: str, span: timedelta) -> AnalyticsResult:
        return run_query(
            connection, AnalyticsQuery(Dataset.ENUM, view, "minute", None, now - span, now, zone=zone), now=now
        )

    minutes = ask("calls", timedelta(minutes=1))
    calls = sum(row[1] for row in minutes.rows)
    seconds = max(1.0, (now - minutes.rows[0][0]).total_seconds()) if minutes.rows else 1.0
    versions = list_versions(connection)
    return Summary(
        calls / seconds,
        ask("calls", timedelta(hours=1)),
        _stopped(connection, now),
        list_devices(connection),
        versions[0] if versions else None,
        next((version for version in versions if version.is_installed), None),
        read_card(connection, ALERTS_SHOWN),
    )


def _stopped(connection: psycopg.Connection, now: datetime) -> list[Call]:
    """The last calls that were not simply let through."""
    found: list[Call] = []
    for action in (Action.TERMINATE, Action.REDIRECT):
        wanted = CallFilter(action=action, start=now - timedelta(hours=24), limit=STOPPED_SHOWN)
        found += (call for call in find_calls(connection, wanted, now=now) if isinstance(call, Call))
    return sorted(found, key=lambda call: call.time, reverse=True)[:STOPPED_SHOWN]


@page("/", "Overview", "space_dashboard", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        Tag("h1", "Overview")
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.may_see_alerts = why_closed(PAGES["/alerts"], view.session) is None
        self.region = Region()
        self.drawing: Drawing | None = None
        self.tiles: Tag | None = None
        self.lists: Tag | None = None
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            summary = await self.view.session.ask(read_summary, datetime.now(UTC), self.view.zone)
            if self.region.state != "content":
                with self.region.content():
                    self._lay_out()
            self._fill(summary)

        await load(self.region, answer, self._refresh)

    def _lay_out(self) -> None:
        self.tiles = Tag("div", classes="tiles")
        with Tag("div", classes="columns"):
            with Tag("section", classes="card"):
                with Tag("div", classes="card-head"):
                    Tag("h2", "Calls a minute, last hour")
                    Tag(
                        "a",
                        "Analytics",
                        href=link("/analytics", {"view": "calls", "grouping": "minute", "range": "1h"}),
                    )
                self.drawing = Drawing({})
            self.lists = Tag("div", classes="stack")

    def _fill(self, summary: Summary) -> None:
        if self.tiles is None or self.lists is None or self.drawing is None:
            return
        self.tiles.clear()
        with self.tiles:
            _lay_out_tiles(summary)
        self.lists.clear()
        with self.lists:
            if self.may_see_alerts:
                lay_out_card(*summary.alerts)
            _lay_out_devices(summary.devices)
            _lay_out_stopped(summary.stopped)
        self.drawing.redraw(draw_view(summary.hour) or {})


def _lay_out_tiles(summary: Summary) -> None:
    totals = {
        name: sum(row[index] for row in summary.hour.rows) for index, name in enumerate(summary.hour.columns) if index
    }
    with _tile("Calls a second now"):
        Tag(
            "div",
            f"{summary.cps:,.1f}" if summary.cps < 100 else f"{summary.cps:,.0f}",
            classes="value",
            data_testid="cps",
        )
        Tag("div", f"{totals['calls']:,} calls in the last hour", classes="more")
    with _tile("Decisions, last hour"):
        with Tag("div", classes="value"):
            Tag("span", f"{totals['terminate'] + totals['redirect']:,}")
            Tag("small", " stopped or redirected")
        _meter(totals)
    with _tile("Devices"):
        up = sum(state_of(device).colour == "green" for device in summary.devices)
        with Tag("div", classes="value"):
            Tag("span", str(up))
            Tag("small", f" of {len(summary.devices)} up")
        Tag("div", _worst(summary.devices), classes="more")
    with _tile("Policy"):
        installed = summary.installed
        with Tag("div", classes="value"):
            Tag("a", f"Version {installed.version}" if installed else "None", href="/policy")
        with Tag("div", classes="more"):
            if summary.newest:
                Tag("span", f"newest is {summary.newest.version}, by {summary.newest.author}, ")
                moment(iso(summary.newest.created_at)).props["shown"] = "ago"
            else:
                Tag("span", "every call is allowed")


def _tile(label: str) -> Tag:
    tile = Tag("div", classes="tile")
    with tile:
        Tag("div", label, classes="label")
    return tile


def _meter(totals: dict[str, int]) -> None:
    shares = {name: totals[name] for name in ACTION_WORDS if totals[name]}
    words = ", ".join(f"{ACTION_WORDS[name]} {count:,}" for name, count in shares.items()) or "No calls"
    with Tag("div", classes="meter", title=words, role="img", aria_label=words):
        for name, count in shares.items():
            Tag("span", classes=f"fill-{name}").style(f"flex: {count}")
    Tag("div", words, classes="more", title=words)


def _worst(devices: list[DeviceStatus]) -> str:
    if not devices:
        return "none is registered"
    troubled = [f"{device.name} {state_of(device).word}" for device in devices if state_of(device).colour != "green"]
    return ", ".join(troubled) or "all with the policy they should have"


def _lay_out_devices(devices: list[DeviceStatus]) -> None:
    with Tag("section", classes="card"):
        with Tag("div", classes="card-head"):
            Tag("h2", "Devices")
            Tag("a", "All", href="/devices")
        if not devices:
            Tag("p", "None is registered yet.", classes="muted")
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for device in devices[:6]:
                state = state_of(device)
                with Tag("tr"):
                    with Tag("td"):
                        Tag("a", device.name, href=link("/calls", {"device": device.name}))
                    with Tag("td", classes="right"):
                        Tag("span", state.word, classes=f"pill {state.colour}", title=state.why)


def _lay_out_stopped(calls: list[Call]) -> None:
    with Tag("section", classes="card"):
        with Tag("div", classes="card-head"):
            Tag("h2", "Last stopped or redirected")
            Tag("a", "Call log", href="/calls")
        if not calls:
            Tag("p", "None in the last 24 hours.", classes="muted")
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for call in calls:
                with Tag("tr"):
                    with Tag("td", classes="number"):
                        moment(iso(call.time))
                    with Tag("td"):
                        number(call.destination)
                        Tag("div", call.rule or "", classes="muted")
                    with Tag("td", classes="right"):
                        Tag("span", ACTION_WORDS.get(call.action, call.action), classes=f"pill {call.action}")
