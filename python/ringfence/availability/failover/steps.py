"""What each step of a failover does. Each is harmless when it is repeated, and says in a sentence what it did.

Which steps there are and in what order: `procedure`. A step that cannot be done raises a RingfenceError that says why.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ringfence.availability import cluster, standby, streaming
from ringfence.availability.archive import Report
from ringfence.availability.configuration import is_aside
from ringfence.availability.database_access import running_database
from ringfence.availability.failover import outcome, procedure
from ringfence.availability.failover.node import Node
from ringfence.availability.failover.old_pair import SECTIONS, OldPair
from ringfence.availability.failover.record import Record
from ringfence.availability.manifest import DATABASE
from ringfence.availability.node_term import NodeTerm
from ringfence.availability.restore import RestoreOptions, check_restore, restore_backup
from ringfence.availability.shelf import KeptBackup, find_backup
from ringfence.availability.source import source_of
from ringfence.availability.standby_status import read_status
from ringfence.availability.sync import sync_once
from ringfence.availability.term import Term
from ringfence.database.cluster import embedded_url
from ringfence.database.connection import SCHEMA
from ringfence.errors import ConflictError, InvalidInputError, RingfenceError, UnavailableError
from ringfence.node.supervisor import lock_node
from ringfence.settings import Settings

# The old pair's last words are waited for as long as they come, and this much longer.
CATCH_UP_S = 20.0
VERIFY_S = 60.0
_POLL_S = 0.1
_DEVICES_POLL_S = 0.25


@dataclass(frozen=True)
class Options:
    """What the operator chose."""

    backup: str | None = None  # restore this one; of a streaming standby too
    host: str | None = None  # the old pair's, for ssh, where its API is followed
    ssh: tuple[str, ...] | None = None  # how ssh is called, where not as the standby was made with
    command: str = "ringfence"  # how ringfence is called on the old pair's node, over ssh
    devices_s: float = 60.0  # how long devices are waited for
    is_planned: bool = False  # refuse when the old pair cannot be fenced, or has something that would be lost
    config: Path | None = None


class Steps:
    """The steps of one failover of one node. `keep` is called whenever more is known, before it is acted on."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        record: Record,
        status: Callable[[], dict[str, Any]],
        keep: Callable[[Record], None],
        report: Report,
    ) -> None:
        """`status` says of this node what `ringfence status` does."""
        following = procedure.following_of(record)
        if options.ssh is not None:
            following = replace(following, ssh=options.ssh)
        self.record = record
        self._settings = settings
        self._options = options
        self._following = following
        self._status = status
        self._keep = keep
        self._report = report
        self._node = Node(settings, options.config)
        self._old = OldPair(following, settings.availability.partners, options.host, options.command)
        self._memory = NodeTerm(settings.data)

    def work(self, name: str) -> Callable[[], str]:
        """What a step does."""
        works = {
            "check": self.check,
            "stop_here": self.stop_here,
            "fence": self.fence,
            "catch_up": self.catch_up,
            "stop_old": self.stop_old,
            "take_over": self.take_over,
            "term": self.take_term,
            "start": self.start,
            "announce": self.announce,
            "verify": self.verify,
            "enable": self.enable,
            "devices": self.wait_for_devices,
            "report": self.tell,
        }
        return works[name]

    def check(self) -> str:
        """Whether this can be done, and what it would cost. Changes nothing."""
        there = self._old.reach()
        if there is None and self._options.is_planned:
            raise UnavailableError(
                f"the active {self.record.active} cannot be reached: a failback gives up nothing; "
                "`ringfence failover` takes over without it"
            )
        reached = f"the old pair is reached ({there})" if there else "the old pair cannot be reached"
        units = self._node.units
        if units and os.geteuid() != 0:
            reached += f"; systemd runs {', '.join(units)} here: where only root may start it, you are asked to"
        if self.record.mode == "streaming":
            stands = read_status(self._settings, datetime.now(UTC))
            if self._options.is_planned and stands.problems:
                raise UnavailableError(f"this standby has not all: {'; '.join(stands.problems)}")
            return f"streaming; a failover now loses {stands.loses}; {reached}"
        kept = find_backup(self._settings, self.record.facts["chosen"])
        if kept.manifest is None:
            raise InvalidInputError(f"backup {kept.backup_id}: {kept.problem}", code="invalid.backup")
        check_restore(self._settings, kept, RestoreOptions(), self._report)
        self._know_backup(kept, asks=there is not None)
        lost = self.record.facts["lost_changes"]
        known = "it is not known which" if lost is None else f"{len(lost)} are known"
        made = f"{kept.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"backup {kept.backup_id} of {made} is whole; changes after it are lost ({known}); {reached}"

    def stop_here(self) -> str:
        """Let go of the data folder."""
        return f"`ringfence up` {self._node.stop()}"

    def fence(self) -> str:
        """Tell the old pair of a term above all that are known. The term is kept before anybody hears it."""
        try:
            with self._database() as connection:
                found = cluster.read_cluster(connection)
        except UnavailableError:
            found = None
        if found is None:
            return "waits until the database is taken over: the secret that makes a term is not here yet"
        term = procedure.term_to_take(found, self.record.facts.get("term"), self._memory.highest_of(found))
        self._know(term=str(term))
        fenced = self._old.fence(term)
        if not fenced.is_told and self._options.is_planned:
            raise UnavailableError(f"the old pair: {fenced.words}")
        self._know(is_old_fenced=fenced.is_told, lsn=fenced.lsn)
        return f"epoch {term.epoch}: {fenced.words}"

    def catch_up(self) -> str:
        """Behind its fence the old pair changes nothing any more: have all of it."""
        if not self.record.facts.get("is_old_fenced"):
            return "nothing: it is not reached"
        if self.record.facts["chosen"] is not None:
            return "nothing: an older backup was chosen"
        words, is_complete = self._catch_up_stream() if self.record.mode == "streaming" else self._take_last_backup()
        if not is_complete and self._options.is_planned:
            raise UnavailableError(f"the old pair is fenced; {words}: call again, or `ringfence failover`")
        self._know(is_complete=is_complete)
        return words

    def stop_old(self) -> str:
        """Stop and disable the old pair, where it is reached."""
        if not self.record.facts.get("is_old_fenced"):
            return "not reached"
        stopped = self._old.stop(self._term())
        self._know(is_old_stopped=stopped.is_stopped)
        return stopped.words

    def take_over(self) -> str:
        """From here on it cannot be undone: promote the replica, or put the backup's database in place."""
        self._node.stop()
        with self._locked():
            promoted = ""
            if self._following.mode == "streaming":
                promoted = f"promoted at {streaming.promote(self._settings, self._report).lsn}"
                if self.record.mode == "streaming":
                    return promoted
            return f"{promoted}; {self._restore()}".removeprefix("; ")

    def take_term(self) -> str:
        """Become the holder of a term above all that are known, and a standby no more."""
        with self._locked(), self._database() as connection:
            found = cluster.ensure_cluster(connection)
            term = procedure.term_to_take(found, self.record.facts.get("term"), self._memory.highest_of(found))
            self._know(term=str(term))
            taken = cluster.take_term(connection, term, self.record.kind)
            self._memory.keep(taken)
            connection.commit()
            self._know(positions=outcome.positions(connection), seen=outcome.last_seen(connection))
        if standby.read_standby(self._settings) is not None:
            standby.leave(self._settings)
        return f"epoch {term.epoch}"

    def start(self) -> str:
        """Start database and mediation here."""
        return f"answers on {self._node.start()}"

    def announce(self) -> str:
        """Tell the old pair, if that was not possible before."""
        if self.record.facts.get("is_old_stopped"):
            return "it knows, and is stopped"
        fenced = self._old.fence(self._term())
        self._know(is_old_fenced=fenced.is_told)
        if not fenced.is_told:
            return fenced.words
        stopped = self._old.stop(self._term())
        self._know(is_old_stopped=stopped.is_stopped)
        return f"{fenced.words}; {stopped.words}"

    def verify(self) -> str:
        """Every process of this node, mediation, database, policy and term; devices come later."""
        give_up = time.monotonic() + VERIFY_S
        while problems := self._problems():
            if time.monotonic() > give_up:
                raise UnavailableError(f"not all is green: {'; '.join(problems)}")
            time.sleep(_POLL_S)
        with self._database() as connection:
            found = cluster.ensure_cluster(connection)
        if found.is_fenced or found.term != self._term():
            raise ConflictError(
                f"another pair took epoch {found.highest.epoch} meanwhile: this one is fenced", code="conflict.term"
            )
        return f"mediation, database and processes are green, epoch {found.term.epoch}"

    def enable(self) -> str:
        """Start at boot. What only root may is told: it stops nothing that goes on."""
        try:
            return self._node.enable()
        except RingfenceError as error:
            return f"NOT enabled at boot: {error.message}"

    def wait_for_devices(self) -> str:
        """Until every device is here with what it had recorded, or the time for it is over."""
        give_up = time.monotonic() + self._options.devices_s
        awaited = outcome.Awaited(self.record.facts["seen"])
        with self._database() as connection:
            connection.commit()
            connection.autocommit = True
            while True:
                found = awaited.look(outcome.devices(connection))
                if awaited.are_here(found) or time.monotonic() >= give_up:
                    self._know(devices={one.name: one.has_come for one in found})
                    return outcome.arrivals_in_words(found)
                time.sleep(_DEVICES_POLL_S)

    def tell(self) -> str:
        """What was recovered, and what is lost."""
        with self._database() as connection:
            self._know(events=outcome.events_since(connection, self.record.facts["positions"]))
        return outcome.in_words(self.record.mode, self.record.facts)

    # What the steps need.

    def _know(self, **facts: Any) -> None:
        self.record = self.record.with_facts(**facts)
        self._keep(self.record)

    def _know_backup(self, kept: KeptBackup, *, asks: bool = True) -> None:
        assert kept.manifest is not None  # noqa: S101 - whoever calls has looked
        made = kept.manifest.created_at
        changes, known_at = self._changes_since(kept, asks=asks)
        self._know(
            backup=kept.backup_id, backup_made_at=made.isoformat(), lost_changes=changes, changes_known_at=known_at
        )

    def _changes_since(self, kept: KeptBackup, *, asks: bool) -> tuple[list[dict[str, Any]] | None, str | None]:
        """Configuration that only the active has, as it says if it is asked, else as it said last, and when that was.

        None: nobody knows.
        """
        assert kept.manifest is not None  # noqa: S101 - whoever calls has looked
        with suppress(RingfenceError):
            asked = source_of(self._following).changes_since(kept.manifest.created_at) if asks else None
            if asked is not None:
                return asked, None
        state = standby.read_state(self._settings)
        if state.imported != kept.backup_id:
            return None, None
        return state.changes, state.active_seen_at

    def _term(self) -> Term:
        term = Term.parse(self.record.facts.get("term"))
        if term is None:
            raise ConflictError("failover.json holds no term: remove it and begin again")
        return term

    def _catch_up_stream(self) -> tuple[str, bool]:
        lsn, began = self.record.facts.get("lsn"), time.monotonic()
        if lsn is None:
            return "not certain: the old pair does not say up to where its database goes", False
        replayed = ""
        while time.monotonic() < began + CATCH_UP_S:
            try:
                with _connected(embedded_url(self._settings.data)) as connection:
                    row = connection.execute(
                        "SELECT pg_last_wal_replay_lsn()::text, pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,)
                    ).fetchone()
            except (UnavailableError, psycopg.Error):
                return "the server here does not run: what the old pair had not sent is lost, except events", False
            if row is not None and row[1]:
                return "everything: nothing is lost", True
            if row is not None and row[0] != replayed:
                replayed, began = row[0], time.monotonic()
            time.sleep(_POLL_S)
        return f"nothing more came within {CATCH_UP_S:.0f} s: what it had not sent is lost, except events", False

    def _take_last_backup(self) -> tuple[str, bool]:
        try:
            made = self._old.back_up(self._settings.backup.timeout_s)
            run = sync_once(self._settings, datetime.now(UTC), self._report, imports=False)
            kept = find_backup(self._settings, made)
            self._know_backup(kept)
        except RingfenceError as error:
            self._know_backup(find_backup(self._settings, self.record.facts["backup"]))
            return f"no last backup could be had ({error.message}): what changed after the newest is lost", False
        self._know(lost_changes=[])
        return f"backup {run.backup_id}, made behind the fence: nothing is lost", True

    def _restore(self) -> str:
        kept = find_backup(self._settings, self.record.facts["backup"])
        assert kept.manifest is not None  # noqa: S101 - checked
        sections = tuple(section for section in SECTIONS if section in kept.manifest.sections)
        is_imported = standby.read_state(self._settings).imported == kept.backup_id
        if is_imported and self.record.facts["chosen"] is None and self._following.mode == "backup":
            sections = tuple(section for section in sections if section != DATABASE)
        if not sections:
            return f"backup {kept.backup_id} is imported already"
        options = RestoreOptions(sections, configuration_file=self._options.config, is_locked=True)
        restored = restore_backup(self._settings, kept, options, datetime.now(UTC), self._report)
        before = "is imported already; " if DATABASE not in sections else ""
        aside = restored.configuration_file if is_aside(restored.configuration_file) else None
        after = f"; its settings lie in {aside}, for root to put in place" if aside else ""
        return f"backup {kept.backup_id}: {before}{', '.join(sections)} restored in {restored.seconds:g} s{after}"

    def _problems(self) -> list[str]:
        missing = [f"{name} does not run yet" for name in self._node.missing()]
        report = self._status()
        parts = [report["mediation"], report["database"], report["policy"], *report["processes"]]
        return missing + [f"{part['name']}: {part['reason']}" for part in parts if part is not None and not part["ok"]]

    @contextmanager
    def _database(self) -> Iterator[psycopg.Connection[Any]]:
        """This node's, whoever runs it; run for us where nobody does."""
        try:
            with running_database(self._settings) as url, _connected(url) as connection:
                yield connection
        except psycopg.Error as error:
            raise UnavailableError(f"database: {str(error).strip().splitlines()[0]}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        (self._settings.data / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = lock_node(self._settings.data)
        try:
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, options=f"-c search_path={SCHEMA}", connect_timeout=5) as connection:
        yield connection
