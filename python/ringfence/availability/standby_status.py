"""How a standby stands: what it has, how old that is, and what a failover from it would lose now.

Asked on the standby; in streaming mode the running server tells, in backup mode the state that each run keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ringfence import __version__
from ringfence.availability.shelf import list_backups
from ringfence.availability.standby import Standby, State, read_standby, read_state, role_of
from ringfence.database.cluster import SUPERUSER, home_of, place_of, read_secrets
from ringfence.errors import UnavailableError
from ringfence.settings import Settings

# A copy that is three times as old as two are apart, or a quarter of an hour, is late.
LATE_AFTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Replication:
    """Streaming as the standby's own server sees it."""

    is_streaming: bool
    received: str | None
    replayed: str | None
    lag_bytes: int
    heard_at: datetime | None  # the last word of the active
    replayed_at: datetime | None  # the last transaction's time on the active


@dataclass(frozen=True)
class StandbyStatus:
    """All of it. `problems` empty: a failover could be made now, and `loses` says at what price."""

    role: str
    standby: Standby | None
    state: State
    now: datetime
    backups: int
    replication: Replication | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def copy_age(self) -> timedelta | None:
        """How old what a failover would bring up is; None when there is nothing yet."""
        if self.replication is not None:
            seen = self.replication.heard_at
        else:
            seen = datetime.fromisoformat(self.state.made_at) if self.state.made_at else None
        # What was heard since we began to look is no older than now.
        return max(self.now - seen, timedelta(0)) if seen else None

    @property
    def loses(self) -> str:
        """What a failover now would lose, in words."""
        if self.standby is None:
            return "nothing: this node is no standby"
        if self.standby.mode == "streaming":
            return self._loses_streaming()
        if self.state.made_at is None:
            return "everything but call data: no copy has been imported yet"
        since = f"changes of configuration since {self.state.made_at[:19].replace('T', ' ')} UTC"
        known = self.state.changes
        if known is None:
            return f"{since}; no call data: edges send it again"
        if not known:
            return (
                f"no change of configuration that was known at {(self.state.active_seen_at or '')[:19]}; no call data"
            )
        count = "1 change" if len(known) == 1 else f"{len(known):,} changes"
        return f"{count}{since.removeprefix('changes')}; no call data: edges send it again"

    def _loses_streaming(self) -> str:
        if self.replication is None:
            return "not known: the standby's server does not run"
        if not self.replication.is_streaming:
            heard = f"{self.replication.heard_at:%Y-%m-%d %H:%M:%S} UTC" if self.replication.heard_at else "its start"
            return f"changes of configuration since {heard}; no call data: edges send it again"
        return "nothing: everything that the active has told is here"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        age, replication = self.copy_age, self.replication
        return {
            "role": self.role,
            "mode": self.standby.mode if self.standby else None,
            "standby": self.standby.as_json() if self.standby else None,
            "copied": self.state.copied,
            "copied_at": self.state.copied_at,
            "imported": self.state.imported,
            "imported_at": self.state.imported_at,
            "made_at": self.state.made_at,
            "tried_at": self.state.tried_at,
            "age_s": round(age.total_seconds(), 1) if age is not None else None,
            "lag_bytes": replication.lag_bytes if replication else None,
            "is_streaming": replication.is_streaming if replication else None,
            "received": replication.received if replication else None,
            "replayed": replication.replayed if replication else None,
            "backups": self.backups,
            "versions": {"here": __version__, "active": self.state.active_software},
            "loses": self.loses,
            "changes": self.state.changes,
            "problems": list(self.problems),
            "ok": not self.problems,
        }


def read_status(settings: Settings, now: datetime) -> StandbyStatus:
    """The standby of this data folder, at `now`."""
    standby = read_standby(settings)
    state = read_state(settings)
    backups = sum(backup.problem is None for backup in list_backups(settings))
    status = StandbyStatus(role_of(settings), standby, state, now, backups)
    if standby is None:
        return status
    replication, problems = None, []
    if standby.mode == "streaming":
        try:
            replication = _read_replication(settings)
        except UnavailableError as error:
            problems.append(error.message)
        if replication is not None and not replication.is_streaming:
            problems.append("the active does not stream: it is away, or keeps no longer what is missing here")
    else:
        problems += _late(standby, state, now)
    if state.active_software not in (None, __version__):
        problems.append(f"the active is Ringfence {state.active_software}, this is {__version__}")
    return StandbyStatus("standby", standby, state, now, backups, replication, tuple(problems))


def _late(standby: Standby, state: State, now: datetime) -> list[str]:
    problems = []
    if state.error:
        problems.append(f"the last run failed: {state.error}")
    if state.made_at is None:
        problems.append("nothing has been imported yet")
    elif now - datetime.fromisoformat(state.made_at) > max(LATE_AFTER, 3 * timedelta(seconds=standby.every_s)):
        problems.append(f"the newest copy is of {state.made_at[:19].replace('T', ' ')} UTC")
    return problems


def _read_replication(settings: Settings) -> Replication:
    place, known = place_of(settings.data), read_secrets(home_of(settings.data))
    url = place.url(SUPERUSER, known.superuser, "postgres")
    try:
        with psycopg.connect(url, connect_timeout=5, row_factory=dict_row) as connection:
            row = connection.execute(
                """
                SELECT pg_is_in_recovery() AS is_standby, r.status, r.last_msg_receipt_time AS heard_at,
                       pg_last_wal_receive_lsn()::text AS received, pg_last_wal_replay_lsn()::text AS replayed,
                       pg_last_xact_replay_timestamp() AS replayed_at,
                       greatest(0, coalesce(pg_wal_lsn_diff(
                           greatest(r.latest_end_lsn, pg_last_wal_receive_lsn()), pg_last_wal_replay_lsn()), 0)
                       )::bigint AS lag
                FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver AS r ON true
                """
            ).fetchone()
    except psycopg.Error as error:
        raise UnavailableError(
            f"the standby's server does not run: {str(error).strip().splitlines()[0]}: start `ringfence up`"
        ) from None
    if row is None or not row["is_standby"]:
        raise UnavailableError("the server here is no standby any more: it was promoted")
    is_streaming = row["status"] == "streaming"
    return Replication(
        is_streaming, row["received"], row["replayed"], row["lag"], row["heard_at"] or row["replayed_at"],
        row["replayed_at"],
    )  # fmt: skip
