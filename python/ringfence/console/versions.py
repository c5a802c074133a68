"""The Versions page: every committed version, what differs between any two, which device has what, and the way back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from psycopg import Connection

from ringfence.console.address import iso, link
from ringfence.console.device_state import state_of
from ringfence.console.draft_bar import changes_words, lay_out_changes
from ringfence.console.forms import attempt, confirm
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.installing import InstallBar, ask_install
from ringfence.console.markup import Choice, Tag, button, moment
from ringfence.console.policy import offer_roll_back
from ringfence.console.policy_board import Board, read_board
from ringfence.console.rule_table import lay_out_action, lay_out_matchers
from ringfence.console.words import MODE_WORDS
from ringfence.mediation.devices import DeviceStatus, list_devices
from ringfence.policy import drafts, installation
from ringfence.policy.diff import Change, changes_between
from ringfence.policy.drafts import By, read_draft
from ringfence.policy.installation import Installation, list_installations
from ringfence.policy.rules import Policy
from ringfence.policy.versions import Version, list_versions, read_source
from ringfence.vocabulary import Role

REFRESH_S = 2.0
LOG_SHOWN = 12
RULES_SHOWN = 200
DRAFT = "draft"


@dataclass(frozen=True)
class Shelf:
    """What the page shows."""

    versions: list[Version]
    board: Board
    devices: list[DeviceStatus]
    log: list[Installation]


def read_shelf(connection: Connection, known: Board | None) -> Shelf:
    """Ask the domain packages in one transaction."""
    return Shelf(list_versions(connection), read_board(connection, known), list_devices(connection),
                 list_installations(connection, LOG_SHOWN))  # fmt: skip


@page("/policy/versions", "Versions", "history", group="/policy")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.shelf: Shelf | None = None
        self.old, self.new = view.query.get("from", ""), view.query.get("to", "")
        self.shown = view.query.get("version", "")
        self.may_edit = view.session.may(Role.EDITOR)
        with Tag("div", classes="page-head"):
            heading("Versions")
            if self.may_edit:
                button("Roll back", self._roll_back, icon="undo")
        self.install_bar = InstallBar(view, self._refresh)
        with Tag("div", classes="stack"):
            self.detail = Tag("div", classes="contents")
            with Tag("div", classes="columns"):
                self.region = Region("card")
                with Tag("div", classes="stack"):
                    self.devices = Region("card")
                    self.log = Region("card")
        every(REFRESH_S, self._refresh)
        if self.old or self.new or self.shown:
            ui.timer(0, self._show_detail, once=True)

    async def _refresh(self) -> None:
        async def answer() -> None:
            shelf = await self.view.session.ask(read_shelf, self.shelf.board if self.shelf else None)
            before, self.shelf = self.shelf, shelf
            if before is None or before.versions != shelf.versions or self.region.state != "content":
                self._show_versions(shelf)
            if before is None or before.devices != shelf.devices:
                self._show_devices(shelf.devices)
            if before is None or before.log != shelf.log:
                self._show_log(shelf.log)
            if before is None or before.board.state != shelf.board.state:
                self.install_bar.show(shelf.board.state)

        await load(self.region, answer, self._refresh)

    def _show_versions(self, shelf: Shelf) -> None:
        if not shelf.versions:
            words = "Every call is allowed. Write rules on the page Rules and commit them, or “ringfence policy apply”."
            self.region.empty("No version yet", words, "history")
            return
        with self.region.content(), Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Version", "Message", "Committed", "Acts on", ""):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for version in shelf.versions:
                    self._lay_out_version(version, shelf)

    def _lay_out_version(self, version: Version, shelf: Shelf) -> None:
        number = version.version
        with Tag("tr"):
            with Tag("td"):
                opener = Tag("button", f"Version {number}", type="button", classes="as-link", title="Its rules")
                opener.on("click", lambda: self._look(shown=str(number)))
                Tag("div", f"{rules_words(version.rules)} · {version.hash[:8]}", classes="muted", title=version.hash)
            Tag("td", version.message or "–", data_label="Message")
            with Tag("td", data_label="Committed"), Tag("div"):
                moment(iso(version.created_at))
                Tag("div", f"by {version.author}", classes="muted")
            with Tag("td", data_label="Acts on"), Tag("div"):
                for target in version.installed_on:
                    Tag("span", installation.in_words(target), classes="pill green")
                if not version.installed_on:
                    Tag("span", "–", classes="muted")
            with Tag("td", classes="row-tools wide"):
                self._lay_out_tools(version, shelf)

    def _lay_out_tools(self, version: Version, shelf: Shelf) -> None:
        number = version.version
        base = shelf.board.installed if shelf.board.installed not in (0, number) else number - 1
        if base:
            button("Compare", lambda: self._look(old=str(base), new=str(number)), classes="quiet small",
                   title=f"With version {base}")  # fmt: skip
        if self.may_edit:
            button("To draft", lambda: self._load(number), classes="quiet small",
                   title="Make the draft what this version is, to edit it")  # fmt: skip
            button("Install…", lambda: self._install(number), classes="small")

    def _show_devices(self, devices: list[DeviceStatus]) -> None:
        if not devices:
            self.devices.empty("No device", "Register an ENUM server on the page Devices.", "dns")
            return
        now = datetime.now(UTC)
        with self.devices.content():
            Tag("h2", "Who has what")
            with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
                for device in devices:
                    lay_out_holding(device, now)

    def _show_log(self, log: list[Installation]) -> None:
        if not log:
            self.log.empty("Nothing was installed", "A version acts once it is installed.", "rocket_launch")
            return
        with self.log.content():
            Tag("h2", "What was installed")
            with Tag("ul", classes="log"):
                for one in log:
                    with Tag("li"):
                        Tag("span", one.in_words[:1].upper() + one.in_words[1:])
                        with Tag("div", classes="muted"):
                            moment(iso(one.at))
                            Tag("span", f" by {one.actor}{_outcome(one)}")

    async def _look(self, *, shown: str = "", old: str = "", new: str = "") -> None:
        self.shown, self.old, self.new = shown, old, new
        self.view.show_address(link("/policy/versions", {"version": shown, "from": old, "to": new}))
        await self._show_detail()
        with self.view.layer:
            ui.run_javascript("document.querySelector('#content')?.scrollIntoView({block: 'start'})")

    async def _show_detail(self) -> None:
        self.detail.clear()
        if not (self.shown or self.new):
            return
        with self.detail:
            region = Region("card")

        async def answer() -> None:
            if self.shown:
                source = await self.view.session.ask(read_source, _number(self.shown))
                with region.content():
                    self._lay_out_rules(source.get("rules", []))
            else:
                known = [str(one.version) for one in await self.view.session.ask(list_versions)]
                changes = await self.view.session.ask(read_difference, self.old, self.new)
                with region.content():
                    self._lay_out_difference(known, changes)

        await load(region, answer, lambda: self._look())

    def _lay_out_difference(self, known: list[str], changes: tuple[Change, ...]) -> None:
        versions = {one: f"Version {one}" for one in known}
        with Tag("div", classes="toolbar"):
            Choice("From", versions, self.old, lambda one: self._look(old=one, new=self.new), name="from")
            Choice("To", versions | {DRAFT: "The draft"}, self.new, lambda one: self._look(old=self.old, new=one),
                   name="to")  # fmt: skip
            Tag("span", classes="space")
            button("Close", lambda: self._look(), icon="close", classes="quiet")
        if changes:
            Tag("h2", changes_words(len(changes)))
            lay_out_changes(changes)
        else:
            Tag("p", "They say the same.", classes="muted")

    def _lay_out_rules(self, rules: list[dict[str, Any]]) -> None:
        with Tag("div", classes="card-head"):
            Tag("h2", f"Rules of version {self.shown}")
            button("Close", lambda: self._look(), icon="close", classes="quiet small")
        if not rules:
            Tag("p", "This version has no rules: every call is allowed.", classes="muted")
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("", "Rule", "Mode", "Sources", "Destinations", "Action"):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for place, rule in enumerate(rules[:RULES_SHOWN], 1):
                    lay_out_plain_rule(place, rule)
        if len(rules) > RULES_SHOWN:
            words = f"and {len(rules) - RULES_SHOWN:,} more; “ringfence policy export” writes them all"
            Tag("p", words, classes="muted")

    async def _roll_back(self) -> None:
        await attempt(self.view, lambda: offer_roll_back(self.view, self._refresh))

    def _install(self, version: int) -> None:
        shelf = self.shelf
        if shelf is not None:
            known = [one.version for one in shelf.versions]
            ask_install(self.view, version, known, shelf.board.places, shelf.board.state, self._refresh)

    def _load(self, version: int) -> None:
        shelf = self.shelf
        if shelf is None:
            return
        by = By(self.view.session.identity.name, datetime.now(UTC), shelf.board.draft.revision)

        async def take() -> None:
            await self.view.session.act(Role.EDITOR, drafts.load_version, version, by)
            self.view.say(f"The draft is version {version} now.")
            await self._refresh()

        if shelf.board.changes:
            words = f"{changes_words(len(shelf.board.changes))} of the draft would be lost."
            confirm(self.view, f"Replace the draft by version {version}?", words, "Replace", take)
        else:
            _soon(self.view, take)


def read_difference(connection: Connection, old: str, new: str) -> tuple[Change, ...]:
    """What differs between two versions, of which the newer may be the draft."""
    after = read_draft(connection).policy if new == DRAFT else _policy(connection, new)
    return changes_between(_policy(connection, old), after)


def lay_out_holding(device: DeviceStatus, now: datetime) -> None:
    """A row: what a device enforces, what it should, and since when it drifts."""
    state = state_of(device)
    drift = device.drift_since(now)
    with Tag("tr"):
        with Tag("td"):
            Tag("b", device.name)
            with Tag("div", classes="muted"):
                Tag("span", f"{device.site} · seen ")
                moment(iso(device.last_seen_at) if device.last_seen_at else None).props["shown"] = "ago"
        with Tag("td", classes="right"):
            has = f"version {device.policy_version}" if device.policy_version else "no policy"
            Tag("div", has)
            if device.pending_version is not None:
                wanted = f"version {device.pending_version}" if device.pending_version else "no policy"
                Tag("div", f"should have {wanted}", classes="muted")
        with Tag("td", classes="right"):
            if drift is not None:
                with Tag("span", classes="pill amber", title="It lives, but runs another policy than it should"):
                    Tag("span", "drifts since ")
                    moment(iso(drift))
            else:
                Tag("span", state.word, classes=f"pill {state.colour}", title=state.why)


def lay_out_plain_rule(place: int, rule: dict[str, Any]) -> None:
    """A row of a rule to be read."""
    mode = str(rule.get("mode", "enforce"))
    with Tag("tr", classes=f"mode-{mode}"):
        Tag("td", str(place), classes="muted place-number")
        with Tag("td"):
            Tag("a", str(rule["name"]), href=link("/calls", {"rule": str(rule["name"]), "range": "24h"}),
                title="Calls that it decided")  # fmt: skip
            if rule.get("note"):
                Tag("div", str(rule["note"]), classes="muted")
        with Tag("td", data_label="Mode"):
            Tag("span", MODE_WORDS.get(mode, mode), classes=f"mode {mode}")
        for side in ("sources", "destinations"):
            lay_out_matchers(side.capitalize(), rule.get(side) or [])
        lay_out_action(rule)


def rules_words(count: int) -> str:
    """`1 rule`, `3 rules`."""
    return "1 rule" if count == 1 else f"{count:,} rules"


def _soon(view: View, work: Callable[[], Awaitable[None]]) -> None:
    with view.layer:
        ui.timer(0, lambda: attempt(view, work), once=True)


def _policy(connection: Connection, version: str) -> Policy:
    return Policy.model_validate(read_source(connection, _number(version)))


def _number(text: str) -> int:
    # A number that no version has: the domain says so in its own words.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _outcome(one: Installation) -> str:
    said = {"confirmed": "confirmed", "reverted": "reverted by itself", "rolled_back": "rolled back",
            "went_on": "went on to all"}  # fmt: skip
    if one.outcome:
        return f" · {said.get(one.outcome, one.outcome)}"
    return " · waits to be confirmed" if one.is_unconfirmed else ""
