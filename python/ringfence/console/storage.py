"""The Storage page: how full the disk is and when days go, what each day takes and where its calls are."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Any

from nicegui import ui
from psycopg import Connection

from ringfence.accounts import audit
from ringfence.console.availability import size_words
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Tag, button, moment
from ringfence.console.rule_table import lay_out_caution
from ringfence.errors import RingfenceError
from ringfence.mediation.jobs import Job
from ringfence.storage.expiry import Keeping
from ringfence.storage.keeper import KIND, StorageKeeper, keeping_of
from ringfence.storage.report import storage_report
from ringfence.vocabulary import Role

REFRESH_S = 10.0
LOOK_S = 0.5
DAYS_SHOWN = 60
DATASETS = {"enum_event": "ENUM", "sip_event": "SIP"}
WHY_WORDS = {
    "age": "older than it is kept",
    "dataset_share": "its dataset takes more than its share",
    "disk_full": "the disk fills",
}

Report = dict[str, Any]


def find(connection: Connection, keeping: Keeping) -> Report:
    """What the page shows."""
    return storage_report(connection, keeping, datetime.now(UTC))


def days_of(report: Report) -> list[tuple[date, dict[str, list[tuple[str, str, int]]]]]:
    """Newest first: the day and, by table, what it is there: (word, colour, octets)."""
    found: dict[date, dict[str, list[tuple[str, str, int]]]] = defaultdict(lambda: defaultdict(list))
    due = {one["partition"] for one in report["drops_now"]}
    for one in report["days"]:
        day = date.fromisoformat(one["day"])
        state = ("due", "amber") if f"{one['table']}_{day:%Y%m%d}" in due else ("in the database", "green")
        if one["is_archived"] and state[0] != "due":
            state = ("also archived", "green")
        found[day][one["table"]].append((*state, one["bytes"]))
    for one in report["archived_days"]:
        found[date.fromisoformat(one["day"])][one["table"]].append(("archived", "plain", one["bytes"]))
    return sorted(found.items(), reverse=True)


@page("/storage", "Storage", "storage", group="/availability")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.keeping = keeping_of(view.session.settings)
        self.job: Job | None = None
        self.shown: Report | None = None
        with Tag("div", classes="page-head"):
            heading("Storage")
            if view.session.may(Role.ADMINISTRATOR):
                button("Archive and drop what is due", self._retain, icon="inventory_2", classes="primary")
        self.progress = Tag("div", classes="stack", aria_live="polite")
        self.region = Region("stack")
        every(REFRESH_S, self._refresh)
        every(LOOK_S, self._look)

    async def _refresh(self) -> None:
        async def answer() -> None:
            report = await self.view.session.ask(find, self.keeping)
            if report != self.shown or self.region.state != "content":
                self.shown = report
                self._show(report)

        await load(self.region, answer, self._refresh)

    def _show(self, report: Report) -> None:
        with self.region.content():
            with Tag("section", classes="card"):
                Tag("h2", "Disk")
                _lay_out_disk(report)
            with Tag("section", classes="card"):
                Tag("h2", "Days")
                _lay_out_days(report)
            with Tag("div", classes="halves"):
                with Tag("section", classes="card"):
                    Tag("h2", "Kept for")
                    _lay_out_settings(report)
                with Tag("section", classes="card"):
                    Tag("h2", "Archive")
                    _lay_out_archive(report)
                with Tag("section", classes="card"):
                    Tag("h2", "Takes in the database")
                    _lay_out_sizes(report)
                with Tag("section", classes="card"):
                    Tag("h2", "Last round")
                    _lay_out_round(report["last_round"])

    async def _retain(self) -> None:
        session = self.view.session

        def allowed(connection: Connection) -> None:
            audit.record(connection, session.identity.name, "storage.retention")

        try:
            await session.act(Role.ADMINISTRATOR, allowed)
            work = StorageKeeper(session.settings).run_now(session.database)
            self.job = session.jobs.start(KIND, session.identity.name, work)
        except RingfenceError as error:
            self.view.say(error.message, is_fault=True)

    async def _look(self) -> None:
        job = self.job
        if job is None:
            return
        self.progress.clear()
        if job.ended_at is None:
            with self.progress, Tag("section", classes="card"):
                Tag("progress", max="1", aria_label="Progress")
                Tag("p", job.progress.phase or "looking at disk and days", classes="muted")
            return
        self.job = None
        if job.error is not None:
            self.view.say(job.error.message, is_fault=True)
        elif job.result is not None:
            archived, dropped = len(job.result["archived"]), len(job.result["dropped"])
            done = f"{archived} days archived, {dropped} dropped."
            self.view.say(done if archived or dropped else "Nothing was due.")
        await self._refresh()


def _lay_out_disk(report: Report) -> None:
    disk, facts = report["disk"], list[tuple[str, str]]()
    if disk is None:
        Tag("p", "Where the database's disk is, nobody has said (storage.disk_path or storage.disk_bytes): days go by "
            "their age alone.", classes="muted")  # fmt: skip
    else:
        over = disk["used_percent"] > disk["limit_percent"]
        colour = "var(--terminate)" if over else "var(--accent)"
        with Tag("div", classes="meter disk", role="img", aria_label=f"{disk['used_percent']} % used"):
            Tag("span").style(f"width: {min(disk['used_percent'], 100)}%; background: {colour}")
            Tag("i").style(f"left: {disk['limit_percent']}%")
        left = disk["bytes"] * disk["limit_percent"] // 100 - disk["used_bytes"]
        used, whole = size_words(disk["used_bytes"]), size_words(disk["bytes"])
        now = "now, the oldest first" if over else f"when {size_words(left)} more are used"
        facts = [
            ("Used", f"{disk['used_percent']} %: {used} of {whole} ({disk['where']})"),
            ("Days go", f"above {disk['limit_percent']} %: {now}"),
        ]
    with Tag("dl", classes="facts"):
        for words, value in facts:
            Tag("dt", words)
            Tag("dd", value)
        Tag("dt", "Goes next")
        Tag("dd", _partition_words(report["drops_next"]) if report["drops_next"] else "no closed day is held")
    if report["reason"] is not None:
        with Tag("div", classes="finding error", role="alert"):
            ui.icon("error").props("aria-hidden=true")
            Tag("span", report["reason"][:1].upper() + report["reason"][1:])
    for note in report["notes"]:
        lay_out_caution(note)
    for table, count in report["lost_days"].items():
        days = "1 day" if count == 1 else f"{count} days"
        lay_out_caution(f"Calls of {days} of dataset {DATASETS[table]} went without an archive and are nowhere.")


def _lay_out_days(report: Report) -> None:
    days = days_of(report)
    if not days:
        Tag("p", "There are no calls yet.", classes="muted")
        return
    largest = max(octets for _, tables in days for states in tables.values() for _, _, octets in states) or 1
    with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
        _head("Day (UTC)", *DATASETS.values())
        with Tag("tbody"):
            for day, tables in days[:DAYS_SHOWN]:
                with Tag("tr"):
                    Tag("td", str(day), classes="number")
                    for table, words in DATASETS.items():
                        with Tag("td", data_label=words):
                            _lay_out_states(tables.get(table, []), largest)
    if len(days) > DAYS_SHOWN:
        Tag("p", f"And {len(days) - DAYS_SHOWN} older days, back to {days[-1][0]}.", classes="muted below")


def _lay_out_states(states: list[tuple[str, str, int]], largest: int) -> None:
    if not states:
        Tag("span", "–", classes="muted")
    with Tag("div", classes="day-states"):
        for word, colour, octets in states:
            with Tag("div", classes="day-state"):
                with Tag("span", classes="meter", aria_hidden="true"):
                    Tag("span").style(f"width: {100 * octets / largest:.1f}%; background: var(--accent)")
                Tag("span", size_words(octets), classes="number")
                Tag("span", word, classes=f"pill {colour}")


def _lay_out_settings(report: Report) -> None:
    kept = report["settings"]
    with Tag("dl", classes="facts"):
        for words, days, share in (
            ("ENUM queries", kept["enum.days"], kept["enum.disk_percent"]),
            ("SIP calls", kept["sip.days"], kept["sip.disk_percent"]),
        ):
            Tag("dt", words)
            Tag("dd", f"{days} days, at most {share} % of the disk")
        Tag("dt", "Counts")
        Tag("dd", f"{kept['minute_days']} days by minute, {kept['hour_days']} by hour")
        Tag("dt", "Disk")
        Tag("dd", f"at most {kept['full_percent']} % used, whoever fills it")
        Tag("dt", "Not archived")
        Tag("dd", "a full disk drops days all the same" if kept["drop_unarchived"] else
            "never dropped where there is an archive")  # fmt: skip
    Tag("p", "Settings storage.* of the configuration.", classes="muted below")


def _lay_out_archive(report: Report) -> None:
    archive = report["archive"]
    if archive["place"] is None:
        Tag("p", "No archive is set up (storage.archive.to): the calls of a day that goes are gone. Counts stay.",
            classes="muted")  # fmt: skip
    with Tag("dl", classes="facts"):
        if archive["place"] is not None:
            Tag("dt", "Place")
            Tag("dd", archive["place"])
            Tag("dt", "Archived")
            Tag("dd", f"{report['settings']['archive.after_days']} days after the day's end")
        for one in archive["tables"]:
            if one["parts"]:
                Tag("dt", DATASETS[one["table"]])
                size = size_words(one["bytes"])
                Tag("dd", f"{one['rows']:,} calls, {one['answers_for']:,} of them only here, in {size}"
                    f": {one['bytes_per_event']} octets a call, {one['first_day']} to {one['last_day']}")  # fmt: skip


def _lay_out_round(done: Report | None) -> None:
    if done is None:
        Tag("p", "Nobody has looked at disk and days yet.", classes="muted")
        return
    with Tag("dl", classes="facts"):
        Tag("dt", "At")
        with Tag("dd"):
            moment(done["at"])
        Tag("dt", "Archived")
        Tag("dd", ", ".join(_partition_words(one["partition"]) for one in done["archived"]) or "nothing was due")
        Tag("dt", "Dropped")
        dropped = [f"{_partition_words(one['partition'])} ({WHY_WORDS[one['why']]})" for one in done["dropped"]]
        Tag("dd", ", ".join(dropped) or "nothing was due")
        if done["waiting"]:
            Tag("dt", "Waiting")
            Tag("dd", ", ".join(map(_partition_words, dict.fromkeys(done["waiting"]))))
    for failure in done["failures"]:
        lay_out_caution(failure)


def _lay_out_sizes(report: Report) -> None:
    sizes = {one["table"]: int(one["bytes"]) for one in report["tables"]}
    counts = [octets for table, octets in sizes.items() if table not in DATASETS]
    with Tag("dl", classes="facts"):
        for table, words in (("enum_event", "ENUM queries"), ("sip_event", "SIP calls")):
            Tag("dt", words)
            Tag("dd", size_words(sizes[table]))
        Tag("dt", "Counts")
        Tag("dd", f"{size_words(sum(counts))} in {len(counts)} tables")


def _head(*titles: str) -> None:
    with Tag("thead"), Tag("tr"):
        for words in titles:
            Tag("th", words, scope="col")


def _partition_words(name: str) -> str:
    """`enum_event_20261113` → `ENUM 2026-11-13`."""
    table, _, day = name.rpartition("_")
    when = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    return f"{DATASETS.get(table, table)} {when:%Y-%m-%d}"
