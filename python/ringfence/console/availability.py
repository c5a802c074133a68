"""The Availability page: this node's role, who stands by for it, its backups; make one, check one, see what went wrong.

Backups are jobs of the mediation: they go on while this page is closed. Putting one back is the stopped node's command.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from ringfence.accounts import audit
from ringfence.availability import schedule, shelf
from ringfence.availability.backup import BackupOptions
from ringfence.availability.followers import Follower, read_followers
from ringfence.availability.shelf import KeptBackup
from ringfence.availability.standby import role_of
from ringfence.console.forms import confirm
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Tag, button, moment
from ringfence.errors import RingfenceError
from ringfence.mediation.jobs import Job
from ringfence.settings import Settings
from ringfence.vocabulary import Role

REFRESH_S = 5.0
LOOK_S = 0.5
RUNS_SHOWN = 8
ROLE_WORDS = {
    "active": "Active: it answers, records and decides",
    "standby": "Standby: it follows the active",
    "none": "No database of its own",
}
RUN_WORDS = {"backup": "Backup", "copy": "Copy", "restore": "Restore"}


@dataclass(frozen=True)
class Found:
    """What the page shows."""

    role: str
    followers: list[Follower]
    backups: list[KeptBackup]
    runs: list[dict[str, Any]]


def find(connection: Connection, settings: Settings) -> Found:
    """All of it; the shelf's heads are read from the disk."""
    return Found(
        role_of(settings),
        read_followers(connection),
        shelf.list_backups(settings),
        shelf.list_runs(settings, RUNS_SHOWN),
    )


def size_words(octets: int) -> str:
    """2,049 → `2.0 KiB`."""
    size = float(octets)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


@page("/availability", "Availability", "health_and_safety", group="/availability")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.settings = view.session.settings
        self.job: Job | None = None
        self.shown: Found | None = None
        self.may_act = view.session.may(Role.ADMINISTRATOR)
        with Tag("div", classes="page-head"):
            heading("Availability")
            if self.may_act:
                button("Back up now", self._back_up, icon="archive", classes="primary")
        self.progress = Tag("div", classes="stack", aria_live="polite")
        self.region = Region("stack")
        every(REFRESH_S, self._refresh)
        every(LOOK_S, self._look)

    async def _refresh(self) -> None:
        async def answer() -> None:
            found = await self.view.session.ask(find, self.settings)
            if found != self.shown or self.region.state != "content":
                self.shown = found
                self._show(found)

        await load(self.region, answer, self._refresh)

    def _show(self, found: Found) -> None:
        with self.region.content():
            with Tag("section", classes="card"):
                Tag("h2", "This node")
                self._lay_out_node(found)
            with Tag("section", classes="card"):
                Tag("h2", "Standby")
                self._lay_out_followers(found.followers)
            with Tag("section", classes="card"):
                Tag("h2", "Backups")
                self._lay_out_backups(found.backups)
            if found.runs:
                with Tag("section", classes="card"):
                    Tag("h2", "Last runs")
                    _lay_out_runs(found.runs)

    def _lay_out_node(self, found: Found) -> None:
        backup = self.settings.backup
        every = f"every {backup.every_s / 3600:g} h" if backup.every_s else "by timer or by hand (backup.every_s is 0)"
        newest = found.backups[0].manifest if found.backups else None
        with Tag("dl", classes="facts"):
            Tag("dt", "Role")
            Tag("dd", ROLE_WORDS[found.role])
            Tag("dt", "Newest backup")
            with Tag("dd"):
                moment(newest.created_at.isoformat() if newest else None)
            Tag("dt", "Made")
            Tag("dd", every)
            Tag("dt", "Kept")
            Tag("dd", f"the newest {backup.keep}, {'encrypted' if backup.key_file else 'not encrypted'}")

    def _lay_out_followers(self, followers: list[Follower]) -> None:
        if not followers:
            Tag("p", "Nobody is seen to follow this node. `ringfence standby init` on another machine makes a standby "
                "of it; one that copies over ssh is not seen from here.", classes="muted")  # fmt: skip
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            _head("Standby", "Way", "State", "Behind", "Last copy")
            with Tag("tbody"):
                for one in followers:
                    with Tag("tr"):
                        Tag("td", one.name)
                        Tag("td", "streaming" if one.mode == "streaming" else "copies backups", data_label="Way")
                        with Tag("td", data_label="State"):
                            _state(one.problem, "follows" if one.mode == "streaming" else "has fetched")
                        behind = size_words(one.behind_bytes) if one.behind_bytes is not None else "–"
                        Tag("td", behind, data_label="Behind")
                        with Tag("td", data_label="Last copy"):
                            moment(one.last_at.isoformat() if one.last_at and one.mode == "backup" else None)

    def _lay_out_backups(self, backups: list[KeptBackup]) -> None:
        if not backups:
            Tag("p", "There is no backup yet. The first one takes about as long as reading the database once.",
                classes="muted")  # fmt: skip
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            _head("Backup", "Made", "Holds", "Size", "State", "")
            with Tag("tbody"):
                for kept in backups:
                    self._lay_out_backup(kept)

    def _lay_out_backup(self, kept: KeptBackup) -> None:
        manifest = kept.manifest
        with Tag("tr"):
            Tag("td", kept.backup_id, classes="number")
            with Tag("td", data_label="Made"):
                moment(manifest.created_at.isoformat() if manifest else None)
            Tag("td", ", ".join(manifest.sections) if manifest else "–", data_label="Holds")
            Tag("td", size_words(kept.size), data_label="Size")
            with Tag("td", data_label="State"):
                _state(kept.problem, "encrypted" if manifest and manifest.key else "whole")
            with Tag("td", classes="row-tools"):
                if self.may_act:
                    button("", lambda: self._verify(kept), icon="fact_check", classes="quiet icon-only",
                           aria_label=f"Verify {kept.backup_id}", title="Read every octet")  # fmt: skip
                    button("", lambda: self._remove(kept), icon="delete", classes="quiet icon-only",
                           aria_label=f"Remove {kept.backup_id}", title="Remove")  # fmt: skip

    async def _back_up(self) -> None:
        now = datetime.now(UTC)
        await self._start(schedule.KIND, schedule.making(self.settings, BackupOptions(), now), "backup.make", "")

    async def _verify(self, kept: KeptBackup) -> None:
        work = schedule.verifying(self.settings, kept.backup_id)
        await self._start(schedule.VERIFY_KIND, work, None, kept.backup_id)

    async def _start(self, kind: str, work: Any, action: str | None, subject: str) -> None:
        session = self.view.session

        def allowed(connection: Connection) -> None:
            if action is not None:
                audit.record(connection, session.identity.name, action, subject)

        try:
            await session.act(Role.ADMINISTRATOR, allowed)
            self.job = session.jobs.start(kind, session.identity.name, work)
        except RingfenceError as error:
            self.view.say(error.message, is_fault=True)

    def _remove(self, kept: KeptBackup) -> None:
        async def remove() -> None:
            actor = self.view.session.identity.name

            def gone(connection: Connection) -> None:
                audit.record(connection, actor, "backup.remove", kept.backup_id)
                kept.path.unlink(missing_ok=True)

            await self.view.session.act(Role.ADMINISTRATOR, gone)
            await self._refresh()

        confirm(self.view, f"Remove backup {kept.backup_id}?", "It cannot be restored afterwards.", "Remove", remove)

    async def _look(self) -> None:
        job = self.job
        if job is None:
            return
        self.progress.clear()
        if job.ended_at is None:
            share = min(job.progress.done / job.progress.total, 1.0) if job.progress.total else None
            with self.progress, Tag("section", classes="card"):
                Tag("progress", max="1", value=str(share) if share is not None else None, aria_label="Progress")
                Tag("p", job.progress.phase or "waiting", classes="muted")
            return
        self.job = None
        if job.error is not None:
            self.view.say(job.error.message, is_fault=True)
        elif job.state == "done" and job.result is not None:
            done = "is whole" if job.kind == schedule.VERIFY_KIND else "is made"
            self.view.say(f"Backup {job.result['backup_id']} {done}.")
        await self._refresh()


def _head(*titles: str) -> None:
    with Tag("thead"), Tag("tr"):
        for words in titles:
            Tag("th", words, scope="col")


def _state(problem: str | None, well: str) -> None:
    Tag("span", "problem" if problem else well, classes=f"pill {'red' if problem else 'green'}")
    if problem:
        Tag("div", problem, classes="muted")


def _lay_out_runs(runs: list[dict[str, Any]]) -> None:
    with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
        _head("When", "What", "Took", "How it ended")
        with Tag("tbody"):
            for run in runs:
                with Tag("tr"):
                    with Tag("td"):
                        moment(str(run["at"]))
                    Tag("td", f"{RUN_WORDS.get(run['what'], run['what'])} {run.get('backup', '')}", data_label="What")
                    Tag("td", f"{run['seconds']:g} s" if "seconds" in run else "–", data_label="Took")
                    with Tag("td", data_label="How it ended"):
                        _state(None if run["ok"] else str(run.get("error", "it failed")), "well")
