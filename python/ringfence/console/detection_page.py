"""One detection: what it says in sentences, where its figures come from, its YAML, back-test, deployment, firings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nicegui import ui
from psycopg import Connection

from ringfence.console.all_stop_bar import lay_out_all_stop
from ringfence.console.detection_back_test import BackTest
from ringfence.console.detection_board import Firings, read_firings
from ringfence.console.detection_editor import edit_definition
from ringfence.console.detection_firings import lay_out_firings
from ringfence.console.detection_words import sentences
from ringfence.console.forms import attempt, confirm
from ringfence.console.frame import Region, View, every, load
from ringfence.console.markup import Tag, button, moment
from ringfence.detection import store
from ringfence.detection.definition import render_definition
from ringfence.detection.firing import Mode
from ringfence.detection.review import Finding, check_deployable, review
from ringfence.detection.store import AllStop, Detection
from ringfence.vocabulary import Role

REFRESH_S = 2.0
MODE_WORDS = {Mode.REPORT: "Report only", Mode.CONTAIN: "Contain"}


@dataclass(frozen=True)
class _Known:
    """What the page shows of a detection."""

    detection: Detection
    all_stop: AllStop
    versions: list[dict[str, Any]]
    findings: list[Finding]
    firings: Firings


def _read(connection: Connection, name: str, now: datetime) -> _Known:
    found = store.read_detection(connection, name)
    return _Known(
        found,
        store.read_all_stop(connection),
        store.list_versions(connection, name),
        review(connection, found.definition, now),
        read_firings(connection, name),
    )


def _deploy(connection: Connection, name: str, actor: str, mode: Mode) -> None:
    now = datetime.now(UTC)
    check_deployable(connection, store.read_detection(connection, name).definition, mode, now)
    store.deploy(connection, name, actor, now, mode)


class DetectionPage:
    """What `/detections?detection=NAME` shows."""

    def __init__(self, view: View, name: str) -> None:
        self.view = view
        self.name = name
        self.known: _Known | None = None
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            Tag("a", "Detections", href="/detections", classes="crumb")
            self.title = Tag("h1", name)
            Tag("span", classes="space")
            self.tools = Tag("div", classes="row-end")
        self.bars = Tag("div", classes="stack bars")
        with Tag("div", classes="stack"):
            self.about = Region("card")
            self.back_test = BackTest(view, name)
            self.firings = Region("card")
            self.text = Region("card")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            known = await self.view.session.ask(_read, self.name, datetime.now(UTC))
            before, self.known = self.known, known
            if before is None or (before.detection, before.all_stop, before.versions, before.findings) != (
                known.detection, known.all_stop, known.versions, known.findings
            ):  # fmt: skip
                self._show(known)
            if before is None or before.firings != known.firings:
                lay_out_firings(self.firings, known.detection.definition, known.firings)

        await load(self.about, answer, lambda: ui.navigate.to("/detections"))

    def _show(self, known: _Known) -> None:
        one = known.detection
        self.title.text = one.definition.title
        self._show_tools(one)
        self.bars.clear()
        with self.bars:
            lay_out_all_stop(self.view, known.all_stop, self._refresh)
            self._lay_out_state(one)
            for finding in known.findings:
                _lay_out_finding(finding)
        with self.about.content():
            self._lay_out_about(one)
        with self.text.content():
            self._lay_out_text(one, known.versions)

    def _show_tools(self, one: Detection) -> None:
        self.tools.clear()
        if not self.may_edit:
            return
        with self.tools:
            button("Edit…", self._edit, icon="edit")
            if one.deployment is not None:
                button("Withdraw…", self._withdraw, icon="stop_circle", classes="quiet")
            for mode, words in MODE_WORDS.items():
                if mode is Mode.CONTAIN and one.definition.contain is None:
                    continue
                if one.deployment is None or (one.deployment.mode, one.deployment.version) != (mode, one.version):
                    icon, look = ("shield", "danger") if mode is Mode.CONTAIN else ("visibility", "primary")
                    button(f"Deploy: {words.lower()}", partial(self._deploy, mode), icon=icon, classes=look)

    def _lay_out_state(self, one: Detection) -> None:
        deployed = one.deployment
        with Tag("div", classes="bar info" if deployed else "bar", data_testid="state"):
            ui.icon("radar" if deployed else "do_not_disturb_on").props("aria-hidden=true")
            with Tag("div", classes="bar-words"):
                if deployed is None:
                    Tag("b", "Off")
                    Tag("span", "It watches nothing until it is deployed.", classes="muted")
                    return
                Tag("b", MODE_WORDS[deployed.mode])
                Tag("span", f"version {deployed.version}, by {deployed.deployed_by}")
                moment(deployed.deployed_at.isoformat()).props["shown"] = "ago"
                if deployed.version != one.version:
                    Tag("span", f"· version {one.version} is saved and does not act yet", classes="ink-terminate")

    def _lay_out_about(self, one: Detection) -> None:
        definition = one.definition
        with Tag("dl", classes="facts"):
            for heading, sentence in sentences(definition):
                Tag("dt", heading)
                Tag("dd", sentence)
            if definition.note:
                Tag("dt", "Note")
                Tag("dd", definition.note)
            if definition.sources:
                Tag("dt", "Figures from")
                with Tag("dd"), Tag("ul", classes="log"):
                    for source in definition.sources:
                        with Tag("li"):
                            Tag("span", source.says)
                            if source.url:
                                Tag("div", source.url, classes="muted")

    def _lay_out_text(self, one: Detection, versions: list[dict[str, Any]]) -> None:
        with Tag("div", classes="card-head"):
            Tag("h2", "Definition")
            Tag("span", f"version {one.version}" if one.version else "of the catalogue", classes="muted")
        with Tag("details", classes="more-fields"):
            Tag("summary", "As YAML")
            Tag("pre", render_definition(one.definition.as_source()), classes="mono").style("overflow-x: auto")
        if versions:
            with Tag("details", classes="more-fields"):
                Tag("summary", "1 version" if len(versions) == 1 else f"{len(versions)} versions")
                with Tag("ul", classes="log"):
                    for version in versions:
                        self._lay_out_version(version)

    def _lay_out_version(self, version: Mapping[str, Any]) -> None:
        with Tag("li", classes="line"):
            Tag("b", f"Version {version['version']}")
            Tag("span", f"by {version['author']}")
            moment(str(version["created_at"])).props["shown"] = "ago"
            if version["message"]:
                Tag("span", str(version["message"]), classes="muted")

    def _edit(self) -> None:
        if self.known is None:
            return

        async def saved(_: str) -> None:
            await self._refresh()

        text = render_definition(self.known.detection.definition.as_source())
        edit_definition(self.view, self.known.detection.definition.title, text, saved, name=self.name)

    def _deploy(self, mode: Mode) -> None:
        if self.known is None:
            return

        async def deploy() -> None:
            session = self.view.session
            await session.act(Role.EDITOR, _deploy, self.name, session.identity.name, mode)
            self.view.say(f"{self.name} is deployed: {MODE_WORDS[mode].lower()}.")
            await self._refresh()

        if mode is Mode.REPORT:
            ui.timer(0, lambda: attempt(self.view, deploy), once=True)
            return
        confirm(
            self.view, "Let it contain?", f"{dict(sentences(self.known.detection.definition))['Then'].capitalize()}. "
            "Calls from or to listed numbers are decided by the rules that name the list. Emergency numbers are never "
            "listed. Entries end by themselves, and can be released here.", "Deploy: contain", deploy,
        )  # fmt: skip

    def _withdraw(self) -> None:
        async def withdraw() -> None:
            session = self.view.session
            await session.act(Role.EDITOR, store.withdraw, self.name, session.identity.name)
            self.view.say(f"{self.name} is withdrawn.")
            await self._refresh()

        confirm(self.view, f"Withdraw {self.name}?", "It fires no more. What it has listed stays until it ends or is "
                "released.", "Withdraw", withdraw)  # fmt: skip


def _lay_out_finding(finding: Finding) -> None:
    words = "Mind"
    if finding.severity == "error":
        words = "It cannot contain yet" if finding.is_of_containment else "It cannot be deployed yet"
    with Tag("div", classes="bar changed"):
        ui.icon("edit_note" if finding.severity == "error" else "warning").props("aria-hidden=true")
        with Tag("div", classes="bar-words"):
            Tag("b", words)
            Tag("span", finding.text)
