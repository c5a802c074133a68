"""The Explain page: how a call would be decided, by which rule, and why every other one does not decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.address import instant_of, iso, link
from ringfence.console.call_drawer import lay_out_explanation, number
from ringfence.console.forms import FORM_FIELDS, entry_field, fields_of
from ringfence.console.frame import Query, Region, View, heading, load, page
from ringfence.console.markup import Choice, Tag, ignore, moment
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import list_devices
from ringfence.policy.explain import Question, explain
from ringfence.policy.versions import list_versions

INSTALLED, DRAFT = "installed", "draft"


@dataclass(frozen=True)
class Asked:
    """The page's state: what the form says. `time` None: now."""

    source: str
    destination: str
    device: str
    client: str
    policy: str
    time: datetime | None

    @classmethod
    def from_fields(cls, fields: Query) -> Asked:
        """Read a form or query parameters. InvalidInputError names one that makes no sense."""
        policy = fields.get("policy") or INSTALLED
        if policy not in (INSTALLED, DRAFT) and not (policy.isascii() and policy.isdigit() and len(policy) < 10):
            raise InvalidInputError(f"policy: no such policy {policy!r}; use installed, draft or a version's number")
        time = fields.get("time", "").strip()
        source, destination, device, client = (
            fields.get(name, "").strip() for name in ("source", "destination", "device", "client")
        )
        at = instant_of("time", time) if time else None
        return cls(source, destination, device, client, policy, at)

    @property
    def address(self) -> str:
        """The page in this state."""
        return link("/policy/explain", {
            "source": self.source, "destination": self.destination, "device": self.device, "client": self.client,
            "policy": "" if self.policy == INSTALLED else self.policy, "time": iso(self.time) if self.time else "",
        })  # fmt: skip

    def question(self, now: datetime) -> Question:
        """What to ask the domain."""
        return Question(
            self.source or None, self.destination, self.time or now, None, self.device or None, self.client or None,
            version=int(self.policy) if self.policy.isdigit() else None, draft=self.policy == DRAFT,
        )  # fmt: skip


@page("/policy/explain", "Explain", "troubleshoot", group="/policy")
def build(view: View) -> None:
    """Lay out the page."""
    with Tag("div", classes="page-head"):
        heading("Explain")
    try:
        asked = Asked.from_fields(view.query)
    except InvalidInputError as error:
        Region("card").failed(error.message, lambda: ui.navigate.to("/policy/explain"), "Start afresh")
        return
    _Page(view, asked)


class _Page:
    def __init__(self, view: View, asked: Asked) -> None:
        self.view = view
        self.asked = asked
        with Tag("form", classes="toolbar card", role="search", aria_label="A call") as form:
            self._lay_out_fields()
        form.on("submit", self._submit, js_handler=FORM_FIELDS)
        self.region = Region()
        ui.timer(0, self._start, once=True)

    def _lay_out_fields(self) -> None:
        asked = self.asked
        entry_field("Source", asked.source, name="source", placeholder="+12105550123", autofocus=not asked.destination)
        entry_field("Destination", asked.destination, name="destination", placeholder="+19005550100", required=True)
        self.device = Choice("Device", {"": "Any"}, asked.device, ignore, name="device")
        entry_field("SBC’s address", asked.client, name="client", placeholder="any")
        self.policy = Choice("Policy", {INSTALLED: "What is installed"}, asked.policy, ignore, name="policy")
        entry_field("Time", iso(asked.time) if asked.time else "", name="time", placeholder="now",
                    title="ISO 8601 with zone, such as 2026-01-31T08:00:00Z")  # fmt: skip
        Tag("button", "Explain", type="submit", classes="button primary")

    async def _start(self) -> None:
        async def names() -> None:
            devices = await self.view.session.ask(list_devices)
            versions = await self.view.session.ask(list_versions)
            self.device.offer({"": "Any"} | {one.name: one.name for one in devices}, self.asked.device)
            policies = {INSTALLED: "What is installed", DRAFT: "The draft"}
            policies |= {str(one.version): f"Version {one.version}" for one in versions}
            self.policy.offer(policies, self.asked.policy)

        if await load(self.region, names, self._start):
            await self._answer()

    async def _submit(self, event: GenericEventArguments) -> None:
        try:
            self.asked = Asked.from_fields(fields_of(event))
        except InvalidInputError as error:
            self.region.failed(error.message)
            return
        self.view.show_address(self.asked.address)
        self.region.stale()
        await self._answer()

    async def _answer(self) -> None:
        if not self.asked.destination:
            words = "Say who calls whom. The answer is that of the engine on the wire, without placing a call."
            self.region.empty("No call yet", words, "troubleshoot")
            return
        asked = self.asked

        async def answer() -> None:
            now = datetime.now(UTC)
            found = await self.view.session.ask(explain, asked.question(now), now)
            if asked is self.asked:
                with self.region.content():
                    self._lay_out(found)

        await load(self.region, answer, self._answer)

    def _lay_out(self, answer: Mapping[str, Any]) -> None:
        with Tag("div", classes="columns"):
            with Tag("section", classes="card stack explained"):
                lay_out_explanation(answer)
            with Tag("div", classes="stack"):
                with Tag("section", classes="card"):
                    Tag("h2", "The call, as it was read")
                    self._lay_out_facts(answer)
                if answer.get("entries"):
                    _lay_out_entries(answer["entries"])

    def _lay_out_facts(self, answer: Mapping[str, Any]) -> None:
        place: Mapping[str, Any] = answer.get("place") or {}
        sbc: Mapping[str, Any] = place.get("sbc") or {}
        policy: Mapping[str, Any] = answer.get("policy") or {}
        with Tag("dl", classes="facts"):
            for side in ("source", "destination"):
                Tag("dt", side.capitalize())
                with Tag("dd"):
                    number(str(answer.get(side) or "none"))
                    Tag("div", str(answer.get(f"{side}_class") or "").replace("_", " "), classes="muted")
            facts = [
                ("Direction", str(answer.get("direction") or "–").replace("_", " ")),
                ("Site", place.get("site")),
                ("Device", place.get("device")),
                ("SBC", f"{sbc['name']}, profile {sbc['profile']}" if sbc else None),
                ("Policy", policy.get("title")),
            ]
            for name, value in facts:
                if value:
                    Tag("dt", name)
                    Tag("dd", str(value))
            Tag("dt", "Time")
            with Tag("dd"):
                moment(str(answer["time"]) if answer.get("time") else None)


def _lay_out_entries(entries: list[Mapping[str, Any]]) -> None:
    with Tag("section", classes="card"):
        Tag("h2", "List entries that match")
        with Tag("ul", classes="log"):
            for entry in entries:
                with Tag("li"):
                    Tag("span", str(entry["pattern"]), classes="number")
                    Tag("span", f" on {entry['side']}’s list ", classes="muted")
                    Tag("a", str(entry["list"]), href=link("/policy/lists", {"list": str(entry["list"])}))
                    words = " · ".join(str(entry[key]) for key in ("note", "origin") if entry.get(key))
                    Tag("div", words, classes="muted")
