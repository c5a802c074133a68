"""What one mediation process holds: settings, database, distribution, ingest, jobs, leadership, and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from ringfence.accounts.credentials import purge_credentials
from ringfence.availability import schedule
from ringfence.availability.backup import BackupOptions
from ringfence.database.connection import Database
from ringfence.mediation.captures import Captures
from ringfence.mediation.distribution import Distribution
from ringfence.mediation.entries_feed import EntriesFeed
from ringfence.mediation.ingest.closing import close_hours
from ringfence.mediation.ingest.hits import purge_hits
from ringfence.mediation.ingest.store import Ingest
from ringfence.mediation.jobs import Jobs
from ringfence.mediation.leader import Leader, ScheduledWork
from ringfence.mediation.list_feeds import ListFeeds
from ringfence.mediation.membership import Membership
from ringfence.node.facts import ProcessFacts
from ringfence.policy import dynamic, installation
from ringfence.policy.lists import contents
from ringfence.reports.sending import Reports
from ringfence.settings import Settings
from ringfence.storage.keeper import StorageKeeper

log = structlog.get_logger()


def _purge_credentials(database: Database) -> None:
    with database.connection() as connection:
        purge_credentials(connection, datetime.now(UTC))


def _expire_dynamic_entries(database: Database) -> None:
    with database.connection() as connection:
        dynamic.expire(connection, datetime.now(UTC))


def _revert_unconfirmed(database: Database) -> None:
    with database.connection() as connection:
        for one in installation.revert_unconfirmed(connection, datetime.now(UTC)):
            log.warning("policy.reverted", installation=one.installation_id, changed=one.changed)


def _purge_hits(database: Database) -> None:
    with database.connection() as connection:
        purge_hits(connection, datetime.now(UTC))


def _close_hours(database: Database) -> None:
    close_hours(database, datetime.now(UTC))


def _prune_contents(database: Database) -> None:
    with database.connection() as connection:
        contents.prune(connection)


_LIST_FEEDS = ListFeeds()

# What the leader does for all mediations of the database.
SCHEDULE: tuple[ScheduledWork, ...] = (
    ScheduledWork("purge_credentials", 3600.0, _purge_credentials),
    ScheduledWork("revert_unconfirmed", 0.0, _revert_unconfirmed),  # each time the leader looks: every second
    ScheduledWork("purge_hits", 3600.0, _purge_hits),
    ScheduledWork("close_hours", 5.0, _close_hours),
    ScheduledWork("list_feeds", 10.0, _LIST_FEEDS.start_due),
    ScheduledWork("prune_list_contents", 3600.0, _prune_contents),
    ScheduledWork("expire_dynamic_entries", 60.0, _expire_dynamic_entries),
)


class MediationProcess:
    """One per process; the API's and the console's way to everything that is not the database itself."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.membership = Membership(database, settings.availability.partners, settings.data)
        self.distribution = Distribution(database)
        self.entries_feed = EntriesFeed(database)
        self.ingest = Ingest(database)
        self.jobs = Jobs()
        self.captures = Captures(settings.data / "captures")
        self.reports = Reports(settings.mail)
        self.storage = StorageKeeper(settings)
        own = (
            ScheduledWork("storage", self.storage.every_s, self.storage.start_round),
            ScheduledWork("backup", 5.0, self._start_due_backup),
            ScheduledWork("reports", 5.0, self.reports.start_due),
        )
        self.leader = Leader(database, (*SCHEDULE, *own))
        self.facts = ProcessFacts(settings.data)

    def _start_due_backup(self, database: Database) -> None:
        """As a job, so that the leader's other work goes on."""
        now = datetime.now(UTC)
        if schedule.is_due(self.settings, now) and not any(
            job.ended_at is None for job in self.jobs.list(schedule.KIND)
        ):
            self.jobs.start(schedule.KIND, "schedule", schedule.making(self.settings, BackupOptions(), now), now)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background tasks while the application serves."""
        tasks = [
            asyncio.create_task(self.membership.run(), name="membership"),
            asyncio.create_task(self.membership.ask_partners(), name="partners"),
            asyncio.create_task(self.distribution.run(), name="distribution"),
            asyncio.create_task(self.entries_feed.run(), name="entries_feed"),
            asyncio.create_task(self.leader.run(), name="leader"),
        ]
        try:
            yield
        finally:
            self.stop()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    def stop(self) -> None:
        """Let long polls go, so that the server can close its connections. Idempotent."""
        self.membership.stop()
        self.distribution.stop()
        self.entries_feed.stop()
        self.jobs.close()
