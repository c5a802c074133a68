"""The Simulate page: recorded calls decided again by a policy that does not act yet, and what would change.

The replay is a job of the mediation: it goes on while this page is closed, and its address shows the result again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nicegui import ui
from psycopg import Connection

from ringfence.accounts.roles import allows
from ringfence.console.address import TimeRange, link
from ringfence.console.frame import Query, Region, View, every, heading, load, page
from ringfence.console.markup import Choice, Tag, button
from ringfence.console.simulation_report import lay_out_report
from ringfence.console.time_field import TimeField
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation import simulation
from ringfence.mediation.devices import list_devices
from ringfence.mediation.jobs import Job
from ringfence.mediation.places import read_places
from ringfence.mediation.simulation import Simulation, SimulationRequest
from ringfence.policy.versions import list_versions
from ringfence.vocabulary import Role

LOOK_S = 0.25
DRAFT, INSTALLED, RECORDED = "draft", "installed", "recorded"


@dataclass(frozen=True)
class Question:
    """The page's state: which policy, against what, over which calls."""

    policy: str
    against: str
    device: str
    site: str
    time: TimeRange
    job: str

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        return cls(
            _policy("policy", query.get("policy") or DRAFT, DRAFT, INSTALLED),
            _policy("against", query.get("against") or RECORDED, RECORDED, INSTALLED),
            query.get("device", ""), query.get("site", ""), TimeRange.from_query(query, "24h"), query.get("job", ""),
        )  # fmt: skip

    @property
    def address(self) -> str:
        """The page in this state."""
        fields = {"policy": self.policy, "against": self.against, "device": self.device, "site": self.site,
                  "job": self.job}  # fmt: skip
        return link("/policy/simulate", fields | self.time.as_query())

    def request(self, now: datetime) -> SimulationRequest:
        """What to ask the domain for."""
        start, end = self.time.bounds(now)
        return SimulationRequest(
            start, end, int(self.policy) if self.policy.isdigit() else None, None, self.policy == DRAFT, self.against,
            self.site or None, self.device or None,
        )  # fmt: skip


@page("/policy/simulate", "Simulate", "science", group="/policy", is_whole=True)
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Simulate")
    try:
        question = Question.from_query(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/policy/simulate"), "Start afresh")
        return
    _Page(view, question)


class _Page:
    def __init__(self, view: View, question: Question) -> None:
        self.view = view
        self.question = question
        self.job: Job | None = None
        self.shown: tuple[str, str] | None = None
        self.may_run = view.session.may(Role.ANALYST)
        with Tag("div", classes="toolbar card", role="search", aria_label="What to simulate"):
            self._lay_out_fields()
        self.region = Region("stack")
        ui.timer(0, self._start, once=True)
        every(LOOK_S, self._look, immediate=False)

    def _lay_out_fields(self) -> None:
        asked = self.question
        self.policy = Choice("Policy", {DRAFT: "The draft"}, asked.policy, lambda one: self._ask(policy=one),
                             name="policy")  # fmt: skip
        self.against = Choice("Against", {RECORDED: "What was decided"}, asked.against,
                              lambda one: self._ask(against=one), name="against")  # fmt: skip
        self.site = Choice("Site", {"": "All"}, asked.site, lambda one: self._ask(site=one), name="site")
        self.device = Choice("Device", {"": "All"}, asked.device, lambda one: self._ask(device=one), name="device")
        self.time = TimeField(asked.time, lambda time: self._ask(time=time))
        if self.may_run:
            button("Simulate", self._run, icon="play_arrow", classes="primary")

    def _ask(self, **changes: Any) -> None:
        self.question = replace(self.question, **changes, job="")
        self.view.show_address(self.question.address)
        if "time" in changes:
            self.time.show(self.question.time)

    async def _start(self) -> None:
        async def names() -> None:
            session, asked = self.view.session, self.question
            versions = {str(one.version): f"Version {one.version}" for one in await session.ask(list_versions)}
            places = await session.ask(read_places)
            devices = {one.name: one.name for one in await session.ask(list_devices)}
            installed = {INSTALLED: "What is installed"}
            self.policy.offer({DRAFT: "The draft"} | installed | versions, asked.policy)
            self.against.offer({RECORDED: "What was decided"} | installed | versions, asked.against)
            self.site.offer({"": "All"} | {one: one for one in places.sites}, asked.site)
            self.device.offer({"": "All"} | devices, asked.device)

        if await load(self.region, names, self._start):
            if self.question.job:
                await load(self.region, self._find)
            else:
                self._show_nothing()

    def _show_nothing(self) -> None:
        words = "Recorded calls are decided again by the policy you choose, and nothing acts. A million take a second."
        if not self.may_run:
            words = "Somebody with the role analyst runs simulations; open the link that they send you."
        self.region.empty("No simulation yet", words, "science")

    async def _find(self) -> None:
        job = self.view.session.jobs.get(self.question.job)
        identity = self.view.session.identity
        if job.kind != simulation.KIND or (
            job.owner != identity.name and not allows(identity.role, Role.ADMINISTRATOR)
        ):
            raise NotFoundError(f"job {self.question.job!r} is not a simulation of yours")
        self.job = job

    async def _run(self) -> None:
        self.region.stale()

        async def begin() -> None:
            session, now = self.view.session, datetime.now(UTC)
            prepared: Simulation = await session.act(Role.ANALYST, _prepare, self.question, now)
            work = partial(simulation.simulate, session.database, prepared)
            if self.job is not None:
                self.job.progress.cancel()
            self.job = session.jobs.start(simulation.KIND, session.identity.name, work, now)
            self.shown = None
            self.question = replace(self.question, job=self.job.id)
            self.view.show_address(self.question.address)

        await load(self.region, begin, self._run)

    async def _look(self) -> None:
        job = self.job
        if job is None:
            return
        state = (job.state, f"{job.progress.done}")
        if state == self.shown:
            return
        self.shown = state
        if job.state == "done" and job.result is not None:
            self.job = None
            with self.region.content():
                self._lay_out(job.result)
        elif job.state in ("failed", "cancelled"):
            self.job = None
            self.region.failed(job.error.message if job.error else "It was cancelled.", self._run, "Run it again")
        else:
            with self.region.content():
                self._lay_out_progress(job)

    def _lay_out(self, result: dict[str, Any]) -> None:
        if not result["calls"]:
            with Tag("div", classes="card"):
                region = Region()
            region.empty("No calls in this time", "Choose a longer time, or another device.", "science")
            return
        lay_out_report(result)

    def _lay_out_progress(self, job: Job) -> None:
        said = job.as_json(with_result=False)
        share = said["share"] or 0.0
        with Tag("section", classes="card stack"):
            with Tag("div", classes="card-head"):
                Tag("h2", said["phase"].capitalize() or "Waiting for its turn")
                Tag("span", f"{said['done']:,} of {said['total']:,} calls" if said["total"] else "", classes="muted")
            Tag("progress", value=f"{share:.3f}", max="1", aria_label="Progress")
            with Tag("div", classes="row-end"):
                button("Cancel", job.progress.cancel, classes="quiet")


def _prepare(connection: Connection, question: Question, now: datetime) -> Simulation:
    return simulation.prepare(connection, question.request(now), now)


def _policy(name: str, value: str, *words: str) -> str:
    if value in words or (value.isascii() and value.isdigit() and len(value) < 10):
        return value
    raise InvalidInputError(f"{name}: no such policy {value!r}; use {', '.join(words)} or a version's number")
