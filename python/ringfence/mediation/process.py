"""What one mediation process holds: settings, database, distribution, ingest, jobs, leadership, and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog
from psycopg import Connection

from ringfence.accounts.credentials import purge_credentials
from ringfence.accounts.entrance import Entrance
from ringfence.availability import schedule
from ringfence.availability.backup import BackupOptions
from ringfence.database.connection import Database
from ringfence.detection import episodes
from ringfence.detection.alerts import delivery
from ringfence.detection.alerts.store import open_or_extend
from ringfence.detection.applying import Outcome
from ringfence.detection.firing import Firing
from ringfence.detection.watch import Watcher
from ringfence.mediation import evidence_requests
from ringfence.mediation.alerts_feed import AlertsFeed
from ringfence.mediation.audit_watch import EVERY_S, AuditWatch
from ringfence.mediation.captures import Captures
from ringfence.mediation.channels import Channels
from ringfence.mediation.distribution import Distribution
from ringfence.mediation.entries_feed import EntriesFeed
from ringfence.mediation.evidence_feed import EvidenceFeed
from ringfence.mediation.ingest.closing import close_hours
from ringfence.mediation.ingest.hits import purge_hits
from ringfence.mediation.ingest.store import Ingest
from ringfence.mediation.jobs import Jobs
from ringfence.mediation.leader import Leader, ScheduledWork
from ringfence.mediation.list_feeds import ListFeeds
from ringfence.mediation.membership import Membership
from ringfence.mediation.trust_keys import open_tls, partner_trust, public_address
from ringfence.node.facts import ProcessFacts
from ringfence.policy import dynamic, installation
from ringfence.policy.lists import contents
from ringfence.reports.sending import Reports
from ringfence.settings import Settings
from ringfence.storage.keeper import StorageKeeper
from ringfence.trust.enrolment_token import EnrolmentToken

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


def _purge_episodes(database: Database) -> None:
    with database.connection() as connection:
        episodes.purge(connection, datetime.now(UTC))


def _purge_evidence(database: Database) -> None:
    with database.connection() as connection:
        evidence_requests.purge(connection, datetime.now(UTC))


def _on_firing(connection: Connection, firing: Firing, now: datetime, outcome: Outcome) -> None:
    """In the transaction that records a firing: its alert."""
    open_or_extend(
        connection,
        firing,
        now,
        contained=outcome.listed,
        held_back=outcome.held_back,
        calls=outcome.calls,
        quiet_s=outcome.quiet_s,
    )


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
    ScheduledWork("purge_episodes", 3600.0, _purge_episodes),
    ScheduledWork("expire_dynamic_entries", 60.0, _expire_dynamic_entries),
    ScheduledWork("purge_evidence", 30.0, _purge_evidence),
    ScheduledWork("purge_alerts", 3600.0, delivery.purge),
)


class MediationProcess:
    """One per process; the API's and the console's way to everything that is not the database itself."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.tls = open_tls(settings, database)
        self.channels = Channels(database)
        self.membership = Membership(
            database,
            self.channels,
            settings.availability.partners,
            settings.data,
            partner_trust(settings.trust, self.tls),
        )
        self.distribution = Distribution(database, self.channels)
        self.entries_feed = EntriesFeed(database, self.channels)
        self.evidence_feed = EvidenceFeed(database, self.channels)
        self.ingest = Ingest(database)
        self.jobs = Jobs()
        self.captures = Captures(settings.data / "captures")
        self.reports = Reports(settings.mail)
        self.entrance = Entrance(settings.accounts)
        self.audit_watch = AuditWatch(settings.data)
        self.deliveries = delivery.Deliveries(settings.mail)
        self.storage = StorageKeeper(settings)
        own = (
            ScheduledWork("storage", self.storage.every_s, self.storage.start_round),
            ScheduledWork("backup", 5.0, self._start_due_backup),
            ScheduledWork("reports", 5.0, self.reports.start_due),
            ScheduledWork("recheck_people", settings.accounts.ldap.recheck_s, self.entrance.recheck),
            ScheduledWork("audit_anchor", EVERY_S, self.audit_watch.keep_anchor),
            ScheduledWork("alerts", 0.0, self.deliveries.start_due),  # when the leader looks, beside at once
        )
        self.alerts_feed = AlertsFeed(database, self.channels, self._tell_at_once)
        self.leader = Leader(database, (*SCHEDULE, *own))
        self.watcher = Watcher(database, self.channels, lambda: self.leader.is_leader, _on_firing)
        self.facts = ProcessFacts(settings.data)

    def _start_due_backup(self, database: Database) -> None:
        """As a job, so that the leader's other work goes on."""
        now = datetime.now(UTC)
        if schedule.is_due(self.settings, now) and not any(
            job.ended_at is None for job in self.jobs.list(schedule.KIND)
        ):
            self.jobs.start(schedule.KIND, "schedule", schedule.making(self.settings, BackupOptions(), now), now)

    def way_here(self, addresses: tuple[str, ...] = ()) -> EnrolmentToken:
        """How a device reaches this mediation and knows it: at `addresses`, or at its own."""
        return EnrolmentToken(
            addresses or (public_address(self.settings),), self.tls.shown.facts.fingerprint if self.tls else None
        )

    def _tell_at_once(self) -> None:
        """Of an alert; where this comes too early or not at all, the leader's next look makes up for it."""
        if self.leader.is_leader and self.database.fence is None:
            self.deliveries.start_due(self.database)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background tasks while the application serves."""
        tasks = [
            asyncio.create_task(self.channels.run(), name="channels"),
            asyncio.create_task(self.membership.run(), name="membership"),
            asyncio.create_task(self.membership.ask_partners(), name="partners"),
            asyncio.create_task(self.distribution.run(), name="distribution"),
            asyncio.create_task(self.entries_feed.run(), name="entries_feed"),
            asyncio.create_task(self.evidence_feed.run(), name="evidence_feed"),
            asyncio.create_task(self.alerts_feed.run(), name="alerts_feed"),
            asyncio.create_task(self.leader.run(), name="leader"),
            asyncio.create_task(self.watcher.run(), name="watcher"),
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
        self.evidence_feed.stop()
        self.alerts_feed.stop()
        self.watcher.stop()
        self.jobs.close()
