"""The Functional test page: the plan, runs from here with their questions, results, signatures, the printed record.

A run is a job of the mediation: it goes on while this page is closed, and asks whoever opens it next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from ringfence.acceptance import live, store
from ringfence.acceptance.hands import Answer
from ringfence.acceptance.plan import Numbers, Plan, draft_plan, plan_from, read_plan, write_plan
from ringfence.acceptance.record import Change, Signature
from ringfence.acceptance.store import KeptRun
from ringfence.console.address import link
from ringfence.console.forms import Fields, FormDialog, area_field, attempt, check, confirm, entry_field
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.functional_results import PILLS, lay_out_results
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import list_devices
from ringfence.mediation.sites import list_sites
from ringfence.vocabulary import Role

PATH = "/functional-test"
REFRESH_S = 1.0
NUMBERS = {
    "source": ("Caller", "+13005550000"),
    "allowed": ("Number to be allowed", "+12105550123"),
    "terminated": ("Number to be refused", "+19005550100"),
    "redirected": ("Number to be redirected", "+12105550100"),
    "target": ("Where redirected calls go", "+12105550199"),
}


@dataclass(frozen=True)
class Shelf:
    """What the page shows."""

    plan: tuple[Plan, datetime, str] | None
    runs: list[dict[str, Any]]
    run: KeptRun | None


def read_shelf(connection: Connection, run: str) -> Shelf:
    """Plan, newest runs, and the one that is looked at."""
    return Shelf(store.read_plan(connection), store.list_runs(connection, 50),
                 store.read_run(connection, run) if run else None)  # fmt: skip


def draft_here(connection: Connection, numbers: dict[str, str], now: datetime) -> Plan:
    """A plan of what is registered. InvalidInputError names the number that is none."""
    sites = [site.as_json() for site in list_sites(connection)]
    devices = [device.as_json() for device in list_devices(connection, now)]
    if not any(device["kind"] == "enum" for device in devices):
        raise InvalidInputError("no ENUM server is registered; a plan is made of what is: see the page Devices")
    place = {"site": "any", "enum_servers": [{"name": "any", "address": "192.0.2.1:53"}]}
    checked: Numbers = plan_from({"locations": [place], "numbers": numbers}).numbers
    return draft_plan(sites, devices, checked, now.date())


@page(PATH, "Functional test", "fact_check")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.run = view.query.get("run", "")
        self.shelf: Shelf | None = None
        self.now: dict[str, Any] = {}
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            heading("Functional test")
            if self.may_edit:
                button("Plan…", self._edit_plan, icon="edit_note")
                button("Run…", self._ask_run, icon="play_arrow", classes="primary")
        with Tag("div", classes="stack"):
            self.progress = Tag("div", classes="stack bars", aria_live="polite")
            self.detail = Tag("div", classes="contents")
            with Tag("div", classes="columns"):
                self.list = Region("card")
                self.plan = Region("card")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            shelf = await self.view.session.ask(read_shelf, self.run)
            before, self.shelf = self.shelf, shelf
            now = live.state_of(self.run) if self.run else {}
            if before is None or before.plan != shelf.plan:
                self._show_plan(shelf.plan)
            if before is None or before.runs != shelf.runs or self.list.state != "content":
                self._show_runs(shelf.runs)
            if before is None or before.run != shelf.run:
                self._show_run(shelf.run)
            if now != self.now:
                self.now = now
                self._show_progress(now)

        await load(self.list, answer, self._refresh)

    def _show_plan(self, kept: tuple[Plan, datetime, str] | None) -> None:
        if kept is None:
            words = "“Plan…” drafts one of the registered sites and devices; five test numbers are all it needs."
            self.plan.empty("No plan yet", words, "edit_note")
            return
        plan, changed_at, changed_by = kept
        with self.plan.content():
            Tag("h2", plan.title)
            Tag("p", " · ".join(filter(None, (plan.customer, plan.reference))), classes="muted")
            for one in plan.locations:
                Tag("b", one.site)
                Tag("div", f"{one.sbc.name}, preset {one.sbc.preset}", classes="muted")
                for server in one.enum_servers:
                    Tag("div", f"{server.name} {server.address}")
                for probe in one.probes:
                    Tag("div", f"{probe.name} {probe.interface}")
            with Tag("p", classes="muted"):
                Tag("span", f"changed by {changed_by}, ")
                moment(changed_at.isoformat())

    def _show_runs(self, runs: list[dict[str, Any]]) -> None:
        if not runs:
            words = "“Run…” begins one from here; “ringfence fst run” does from any machine."
            self.list.empty("No run yet", words, "fact_check")
            return
        with self.list.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Run", "Started", "Results", "Verdict", "Signed"):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for one in runs:
                    with Tag("tr"):
                        with Tag("td"):
                            Tag("a", one["run"], href=link(PATH, {"run": one["run"]}),
                                aria_current="true" if one["run"] == self.run else None)  # fmt: skip
                            Tag("div", f"{one['mode']}, {one['title']}", classes="muted")
                        with Tag("td", data_label="Started"), Tag("div"):
                            moment(one["started_at"])
                            Tag("div", f"by {one['started_by']}", classes="muted")
                        Tag("td", str(one["results"]), data_label="Results")
                        with Tag("td", data_label="Verdict"):
                            Tag("span", one["verdict"], classes=f"pill {PILLS[one['verdict']]}")
                        Tag("td", f"{one['signatures']} of 2", data_label="Signed")

    def _show_progress(self, now: dict[str, Any]) -> None:
        self.progress.clear()
        if now.get("state") != "running":
            return
        with self.progress, Tag("div", classes="card stack"):
            Tag("b", f"Running: {now['words']}")
            Tag("progress", value=str(now["done"]), max=str(max(now["total"], 1)), aria_label="Cases carried out")
            asked = now["question"]
            if asked and self.may_edit:
                Tag("p", f"{asked['case']} {asked['subject']}: {asked['words']}")
                with Tag("div", classes="row-end"):
                    if asked["wants"] == "done":
                        button("It is done", lambda: self._click(asked["number"], None), classes="primary")
                    else:
                        button("PASS", lambda: self._click(asked["number"], "PASS"), classes="primary")
                        button("FAIL or OTHER…", lambda: self._answer_otherwise(asked["number"]))
            elif asked:
                Tag("p", "It waits for an answer of a policy editor.")
            if self.may_edit:
                button("Break off", self._cancel, classes="quiet")

    def _show_run(self, kept: KeptRun | None) -> None:
        self.detail.clear()
        if kept is None:
            return
        with self.detail, Tag("div", classes="card stack"):
            lay_out_results(kept, on_change=self._change if self.may_edit and not kept.is_sealed else None)
            with Tag("div", classes="row-end"):
                for words, kind in (("PDF", "pdf"), ("HTML", "html")):
                    Tag("a", words, href=f"/api/v1/fst/runs/{kept.record.run}/record.{kind}", target="_blank",
                        classes="button")  # fmt: skip
                if self.may_edit and not kept.is_sealed and kept.record.ended_at:
                    button("Exceptions…", lambda: self._describe(kept))
                if self.view.session.may(Role.ANALYST) and kept.record.ended_at and len(kept.signatures) < 2:
                    button("Sign…", lambda: self._sign(kept), icon="draw", classes="primary")

    def _edit_plan(self) -> None:
        kept = self.shelf.plan if self.shelf else None
        if kept is None:
            self._draft_plan()
            return

        async def save(fields: Fields) -> None:
            plan = read_plan(fields.get("plan", "").encode())
            session = self.view.session
            await session.act(Role.EDITOR, store.save_plan, plan, session.identity.name, datetime.now(UTC))
            await self._refresh()

        dialog = FormDialog(self.view, "Test plan", "Save", save, classes="wide")
        with dialog.body:
            area_field(
                "Plan", write_plan(kept[0]), name="plan", rows=24, hint="YAML; each fault is named by its field."
            )

    def _draft_plan(self) -> None:
        async def save(fields: Fields) -> None:
            session, now = self.view.session, datetime.now(UTC)
            numbers = {name: fields.get(name, "").strip() for name in NUMBERS}
            plan = await session.act(Role.EDITOR, draft_here, numbers, now)
            await session.act(Role.EDITOR, store.save_plan, plan, session.identity.name, now)
            await self._refresh()

        dialog = FormDialog(self.view, "Draft a plan", "Draft", save)
        with dialog.body:
            Tag("p", "Five numbers that no other rule touches. The test's rules concern calls between them only.")
            for name, (words, example) in NUMBERS.items():
                entry_field(words, "", name=name, placeholder=example)

    def _ask_run(self) -> None:
        if self.shelf is None or self.shelf.plan is None:
            self.view.say("There is no plan yet: make one first.", is_fault=True)
            return
        plan = self.shelf.plan[0]

        async def start(fields: Fields) -> None:
            session = self.view.session
            only = tuple(fields.get("cases", "").replace(",", " ").split())
            request = live.RunRequest(
                plan, session.identity.name, only, _scale(fields.get("scale", "1")), "attended" in fields,
                fields.get("tester", "").strip(), fields.get("witness", "").strip(),
            )  # fmt: skip

            def begin(connection: Connection) -> str:
                return live.start(session.jobs, session.database, session.settings.data, request, datetime.now(UTC)).run

            self.run = await session.act(Role.EDITOR, begin)
            self.view.show_address(link(PATH, {"run": self.run}))
            await self._refresh()

        dialog = FormDialog(self.view, "Run the functional system test", "Run", start)
        with dialog.body:
            Tag("p", "A version with three rules for the test numbers is installed while cases B run; then everything"
                     " is put back.")  # fmt: skip
            entry_field("Cases", "", name="cases", placeholder="all; or A B6 C", hint="Empty: all.")
            entry_field("Tester", "", name="tester")
            entry_field("Witness", "", name="witness")
            entry_field("Waits", "1", name="scale", hint="1: real; less shortens them, and the record says so.")
            check("I answer its questions", name="attended", is_on=True)

    async def _answer(self, number: int, verdict: str | None, comment: str) -> None:
        def give(connection: Connection) -> None:
            word = next((one for one in ("PASS", "FAIL", "OTHER") if one == verdict), None)
            live.answer(self.run, number, Answer(word, comment, self.view.session.identity.name))

        await self.view.session.act(Role.EDITOR, give)
        await self._refresh()

    async def _click(self, number: int, verdict: str | None) -> None:
        await attempt(self.view, lambda: self._answer(number, verdict, ""))

    def _answer_otherwise(self, number: int) -> None:
        async def give(fields: Fields) -> None:
            await self._answer(number, fields.get("verdict", ""), fields.get("comment", "").strip())

        dialog = FormDialog(self.view, "Result", "Give", give)
        with dialog.body:
            Choice("Verdict", {"FAIL": "FAIL", "OTHER": "OTHER"}, "FAIL", ignore, name="verdict")
            area_field("Comment", "", name="comment")

    def _cancel(self) -> None:
        async def end() -> None:
            await self.view.session.act(Role.EDITOR, lambda connection: live.cancel(self.run))
            await self._refresh()

        confirm(self.view, "Break the run off?", "What was found stays. The policy is put back.", "Break off", end)

    def _change(self, case: str, subject: str, verdict: str, comment: str, agreed: str) -> None:
        async def save(fields: Fields) -> None:
            session = self.view.session
            word = next((one for one in ("PASS", "FAIL", "OTHER") if one == fields.get("verdict")), None)
            wanted = Change(case, subject, word, fields.get("comment", ""), fields.get("agreed", ""))
            await session.act(Role.EDITOR, store.change, self.run, wanted, session.identity.name, datetime.now(UTC))
            await self._refresh()

        dialog = FormDialog(self.view, f"{case} {subject}", "Save", save)
        with dialog.body:
            Choice("Verdict", {word: word for word in ("PASS", "FAIL", "OTHER")}, verdict, ignore, name="verdict")
            area_field("Comment", comment, name="comment")
            entry_field("Agreed", agreed, name="agreed", hint="Of an OTHER: who agreed to it, and where in writing.")

    def _describe(self, kept: KeptRun) -> None:
        async def save(fields: Fields) -> None:
            session = self.view.session
            await session.act(
                Role.EDITOR, store.describe, kept.record.run, session.identity.name,
                *(fields.get(name, "") for name in ("exceptions", "tester", "witness")),
            )  # fmt: skip
            await self._refresh()

        dialog = FormDialog(self.view, "Exceptions and comments", "Save", save)
        with dialog.body:
            area_field("Overall exceptions and comments", kept.record.exceptions, name="exceptions", rows=6)
            entry_field("Tester", kept.record.tester, name="tester")
            entry_field("Witness", kept.record.witness, name="witness")

    def _sign(self, kept: KeptRun) -> None:
        open_roles = [role for role in ("tester", "witness") if role not in {one.role for one in kept.signatures}]

        async def save(fields: Fields) -> None:
            session = self.view.session
            at = datetime.now(UTC).isoformat(timespec="seconds")
            signature = Signature(fields.get("role", ""), fields.get("name", "").strip(), session.identity.name, at,
                                  kept.record.digest())  # fmt: skip
            await session.act(Role.ANALYST, store.add_signature, kept.record.run, signature)
            await self._refresh()

        dialog = FormDialog(self.view, "Sign the record", "Sign", save)
        with dialog.body:
            Tag("p", f"Verdict {kept.record.verdict()}. Afterwards nothing of the record changes.")
            Choice("As", {role: role for role in open_roles}, open_roles[0], ignore, name="role")
            entry_field("Your name, as on paper", "", name="name")
            Tag("p", f"SHA-256 {kept.record.digest()}", classes="muted")


def _scale(text: str) -> float:
    try:
        return float(text.strip() or "1")
    except ValueError:
        raise InvalidInputError(f"Waits: {text!r} is not a number; expected 0 to 1") from None
