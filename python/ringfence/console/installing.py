"""Installing from a page: where and how, and what waits for a word: a deadline to confirm, a first device to go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from nicegui import ui

from ringfence.console.address import iso
from ringfence.console.forms import Fields, FormDialog, attempt, check, confirm
from ringfence.console.frame import View
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.errors import ConflictError
from ringfence.mediation.places import Places
from ringfence.policy import installation
from ringfence.policy.installation import Installation, Scope, State
from ringfence.policy.targets import ALL
from ringfence.vocabulary import Role

FIRST, DEVICE, SITE = "first:", "device:", "site:"
WITHIN = {"": "No: it stays", "1": "Within 1 minute", "5": "Within 5 minutes", "10": "Within 10 minutes",
          "30": "Within 30 minutes", "60": "Within 1 hour"}  # fmt: skip
Refresh = Callable[[], Awaitable[None]]


def ask_install(
    view: View, version: int, versions: Sequence[int], places: Places, state: State, refresh: Refresh
) -> None:
    """Where, in which steps, and whether it reverts by itself."""

    async def install(fields: Fields) -> None:
        scope, is_staged = scope_of(fields.get("where", ALL), is_exempt="keep" in fields)
        minutes = fields.get("within", "")
        chosen = int(fields["version"])
        done = await view.session.act(
            Role.EDITOR, installation.install, chosen, view.session.identity.name, datetime.now(UTC), scope,
            confirm_within=timedelta(minutes=int(minutes)) if minutes else None, is_staged=is_staged,
        )  # fmt: skip
        if done is None:
            raise ConflictError(f"version {chosen} is installed there already")
        view.say(f"{done.in_words[0].upper()}{done.in_words[1:]}.")
        await refresh()

    dialog = FormDialog(view, "Install", "Install", install)
    with dialog.body:
        Choice("Version", {str(one): f"Version {one}" for one in versions}, str(version), ignore, name="version")
        Choice("Where", _wheres(places), ALL, ignore, name="where")
        Choice("Revert by itself unless confirmed", WITHIN, "", ignore, name="within")
        Tag("p", "Devices that cannot be reached get it as soon as they are back.", classes="field-hint")
        exceptions = sorted(target for target in state.targets if target != ALL)
        if exceptions:
            words = ", ".join(installation.in_words(target) for target in exceptions[:5])
            check(f"Leave alone what has a version of its own: {words}", name="keep")


def scope_of(where: str, *, is_exempt: bool = False) -> tuple[Scope, bool]:
    """What the field Where means, and whether the others follow later."""
    if where.startswith(SITE):
        return Scope(site=where.removeprefix(SITE), keep_exceptions=is_exempt), False
    if where.startswith((FIRST, DEVICE)):
        return Scope(device=where.split(":", 1)[1]), where.startswith(FIRST)
    return Scope(keep_exceptions=is_exempt), False


def _wheres(places: Places) -> dict[str, str]:
    wheres = {ALL: "All devices at once"}
    wheres |= {f"{FIRST}{name}": f"{name} first, then all" for name in places.devices}
    if len(places.sites) > 1:
        wheres |= {f"{SITE}{name}": f"Only site {name}" for name in places.sites}
    return wheres | {f"{DEVICE}{name}": f"Only device {name}" for name in places.devices}


class InstallBar(Tag):
    """What waits for a word of an operator; empty when nothing does."""

    def __init__(self, view: View, refresh: Refresh) -> None:
        super().__init__("div", classes="stack bars")
        self.view = view
        self.refresh = refresh

    def show(self, state: State) -> None:
        """Show what waits."""
        self.clear()
        with self:
            for waiting in state.unconfirmed:
                self._lay_out_unconfirmed(waiting)
            if state.staged is not None:
                self._lay_out_staged(state.staged)

    def _lay_out_unconfirmed(self, waiting: Installation) -> None:
        with Tag("div", classes="bar warn", role="region", aria_label="To be confirmed"):
            ui.icon("timer").props("aria-hidden=true")
            with Tag("div", classes="bar-words"):
                Tag("b", f"{_sentence(waiting)} by {waiting.actor}. Unless confirmed it reverts in ")
                moment(iso(waiting.confirm_by) if waiting.confirm_by else None).props["shown"] = "left"
            Tag("span", classes="space")
            if self.view.session.may(Role.EDITOR):
                button("Revert now", lambda: self._rollback(), classes="quiet")
                button("Confirm", lambda: self._confirm(waiting), icon="check", classes="primary")

    def _lay_out_staged(self, staged: Installation) -> None:
        device = installation.in_words(staged.target).removeprefix("device ")
        with Tag("div", classes="bar info", role="region", aria_label="Staged"):
            ui.icon("stairs").props("aria-hidden=true")
            with Tag("div", classes="bar-words"):
                Tag("b", f"Version {staged.version} is on {device} first. ")
                Tag("span", "Look at its calls, then go on.", classes="muted")
            Tag("span", classes="space")
            if self.view.session.may(Role.EDITOR):
                if staged.confirm_by is None:
                    button("Take it back", lambda: self._rollback(), classes="quiet")
                button("Install on all", self._go_on, icon="done_all", classes="primary")

    async def _confirm(self, waiting: Installation) -> None:
        async def work() -> None:
            session = self.view.session
            await session.act(
                Role.EDITOR, installation.confirm, session.identity.name, datetime.now(UTC), waiting.installation_id
            )
            self.view.say("Confirmed: it stays.")
            await self.refresh()

        await attempt(self.view, work)

    async def _rollback(self) -> None:
        await attempt(self.view, lambda: roll_back(self.view, self.refresh))

    async def _go_on(self) -> None:
        async def work(*, is_forced: bool = False) -> None:
            session = self.view.session
            await session.act(
                Role.EDITOR, installation.go_on, session.identity.name, datetime.now(UTC), is_forced=is_forced
            )
            self.view.say("Installed on all devices.")
            await self.refresh()

        async def ask_first() -> None:
            try:
                await work()
            except ConflictError as error:
                if error.code != "conflict.first_device":
                    raise
                confirm(self.view, "The first device is not ready", error.message.split(":")[0] + ".",
                        "Install on all anyway", lambda: work(is_forced=True))  # fmt: skip

        await attempt(self.view, ask_first)


async def roll_back(view: View, refresh: Refresh) -> None:
    """Put back what the newest installation changed."""
    done = await view.session.act(Role.EDITOR, installation.rollback, view.session.identity.name, datetime.now(UTC))
    view.say(f"{_sentence(done)}.")
    await refresh()


def ask_roll_back(view: View, newest: Installation, refresh: Refresh) -> None:
    """Say what a rollback would undo, then do it."""
    confirm(view, "Roll back?", f"Undoes: {newest.in_words} ({newest.actor}). Devices follow within a second.",
            "Roll back", lambda: roll_back(view, refresh))  # fmt: skip


def _sentence(done: Installation) -> str:
    return done.in_words[:1].upper() + done.in_words[1:]
