"""Build: what a definition would have found over the past days; a job that goes on while the page is closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from nicegui import ui

from ringfence.accounts.roles import allows
from ringfence.analytics.reading import OUTCOME_COLOURS
from ringfence.console import chart
from ringfence.console.address import link
from ringfence.console.detection_board import Found
from ringfence.console.detection_firings import lay_out_found
from ringfence.console.drawing import Drawing
from ringfence.console.frame import Region, View, every, load
from ringfence.console.markup import Choice, Tag, button
from ringfence.detection import store
from ringfence.detection.back_test import KIND, back_test, check_days
from ringfence.detection.definition import Definition
from ringfence.errors import NotFoundError
from ringfence.mediation.jobs import Job
from ringfence.vocabulary import Role

LOOK_S = 0.25
SPANS = {"1": "1 day", "7": "7 days", "30": "30 days"}
FIRINGS_SHOWN = 50
Result = Mapping[str, Any]


class BackTest:
    """The card; `?days=` and `?job=` keep its state in the address."""

    def __init__(self, view: View, name: str) -> None:
        self.view = view
        self.name = name
        self.days = view.query.get("days", "7") if view.query.get("days") in SPANS else "7"
        self.wanted_job = view.query.get("job", "")
        self.job: Job | None = None
        self.shown: tuple[str, int] | None = None
        self.definition: Definition | None = None
        if not (view.session.may(Role.ANALYST) or self.wanted_job):
            return
        with Tag("section", classes="card stack", aria_label="Build"):
            with Tag("div", classes="toolbar flat"):
                Tag("h2", "What would it have found?")
                Tag("span", classes="space")
                Choice("Past", SPANS, self.days, self._pick, name="days")
                if view.session.may(Role.ANALYST):
                    button("Build", self._run, icon="play_arrow", classes="primary")
            self.region = Region("stack")
        self._show_nothing()
        if self.wanted_job:
            ui.timer(0, self._find, once=True)
        every(LOOK_S, self._look, immediate=False)

    def _pick(self, days: str) -> None:
        self.days = days if days in SPANS else "7"
        self._show_address("")

    def _show_address(self, job: str) -> None:
        self.view.show_address(link("/detections", {"detection": self.name, "days": self.days, "job": job}))

    def _show_nothing(self) -> None:
        with self.region.content():
            Tag("p", "Recorded calls are counted again by the newest definition, deployed or not; nothing acts.",
                classes="muted")  # fmt: skip

    async def _find(self) -> None:
        async def find() -> None:
            job = self.view.session.jobs.get(self.wanted_job)
            identity = self.view.session.identity
            if job.kind != KIND or (job.owner != identity.name and not allows(identity.role, Role.ADMINISTRATOR)):
                raise NotFoundError(f"job {self.wanted_job!r} is not a back-test of yours")
            self.definition = (await self.view.session.ask(store.read_detection, self.name)).definition
            self.job = job

        await load(self.region, find, self._show_nothing)

    async def _run(self) -> None:
        self.region.stale()

        async def begin() -> None:
            session, now = self.view.session, datetime.now(UTC)
            found = await session.act(Role.ANALYST, store.read_detection, self.name)
            self.definition = found.definition
            if self.job is not None:
                self.job.progress.cancel()
            work = partial(back_test, session.database, found.definition, check_days(float(self.days)), now)
            self.job = session.jobs.start(KIND, session.identity.name, work, now)
            self.shown = None
            self._show_address(self.job.id)

        await load(self.region, begin, self._run)

    def _look(self) -> None:
        job = self.job
        if job is None or (state := (job.state, job.progress.done)) == self.shown:
            return
        self.shown = state
        if job.state == "done" and job.result is not None and self.definition is not None:
            self.job = None
            with self.region.content():
                _lay_out(self.definition, job.result)
        elif job.state in ("failed", "cancelled"):
            self.job = None
            self.region.failed(job.error.message if job.error else "It was cancelled.", self._run, "Build it again")
        else:
            with self.region.content():
                _lay_out_progress(job)


def draw_back_test(result: Result) -> dict[str, Any]:
    """Options of the chart: calls that count as bars, firings above them. Pure."""
    series, start = result["series"], datetime.fromisoformat(result["start"])
    length = timedelta(seconds=series["bucket_s"])
    bounds = [start + place * length for place in range(len(series["calls"]))]
    options = chart.axes(bounds, "minute" if series["bucket_s"] < 6 * 3600 else "day")
    options["tooltip"]["trigger"] = "axis"
    options["grid"]["top"] = 34
    options["legend"] = {"show": True, "top": 0, "right": 0, "icon": "roundRect", "itemWidth": 10, "itemHeight": 10}
    options["yAxis"] = [options["yAxis"], {"type": "value", "minInterval": 1, "splitLine": {"show": False}}]
    calls = chart.bars("Calls that count", OUTCOME_COLOURS["none"], series["calls"], stacked=False)
    firings = {
        "name": "Firings", "type": "scatter", "yAxisIndex": 1, "symbolSize": 9,
        "itemStyle": {"color": OUTCOME_COLOURS["terminate"]}, "data": [count or "-" for count in series["firings"]],
    }  # fmt: skip
    return {**options, "series": [calls, firings]}


def _lay_out(definition: Definition, result: Result) -> None:
    firings, keys = result["firings_in_all"], result["keys"]
    with Tag("div", classes="tiles"):
        for words, value, test_id in (
            ("Calls that count", result["calls"], "back-test-calls"),
            ("Firings", firings, "back-test-firings"),
            ("Of different keys", keys, "back-test-keys"),
        ):
            with Tag("div", classes="tile"):
                Tag("div", words, classes="label")
                Tag("div", f"{value:,}", classes="value", data_testid=test_id)
    Drawing(draw_back_test(result)).classes("small")
    if result["evicted"]:
        Tag("p", f"{result['evicted']:,} keys had to go for others: some firings may be missing.", classes="said")
    newest = [_found(definition, one) for one in reversed(result["firings"])][:FIRINGS_SHOWN]
    if newest:
        lay_out_found(definition, tuple(newest))
    if firings > len(newest):
        Tag("p", f"The newest {len(newest)} of {firings:,}.", classes="muted")


def _lay_out_progress(job: Job) -> None:
    said = job.as_json(with_result=False)
    Tag("p", said["phase"].capitalize() or "Waiting for its turn", classes="muted")
    Tag("progress", value=f"{said['share'] or 0.0:.3f}", max="1", aria_label="Progress")
    with Tag("div", classes="row-end"):
        button("Cancel", job.progress.cancel, classes="quiet")


def _found(definition: Definition, one: Mapping[str, Any]) -> Found:
    at = datetime.fromisoformat(one["at"])
    return Found(
        one["key"], at - timedelta(seconds=definition.window_s), at, at, one["value"], one["threshold"],
        "",
    )  # fmt: skip
