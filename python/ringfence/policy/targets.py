"""What acts where: a version for all devices, for a site's, for one.

    device:enum-1 ──► else site:main ──► else all ──► else no policy

A device follows the narrowest target that is set; 0 says "uninstalled there". Targets are written by `change` alone,
which also writes what it did into the log of installations: everything can be undone, and every edge is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Connection
from psycopg.types.json import Jsonb

CHANNEL = "ringfence_policy"  # NOTIFY channel: what is installed somewhere has changed
LOCK = 7_201_003  # advisory lock: commits and installations one after the other
ALL = "all"
SITE = "site:"
DEVICE = "device:"

Action = Literal["install", "uninstall", "follow", "go_on", "rollback", "revert"]
Changed = dict[str, tuple[int | None, int | None]]  # target → version before and after; None: not set


@dataclass(frozen=True)
class Target:
    """A target that is set, and since when to this version."""

    target: str
    version: int
    since: datetime


@dataclass(frozen=True)
class Doing:
    """What is done to targets, for the log."""

    action: Action
    target: str
    version: int | None
    actor: str
    now: datetime
    is_staged: bool = False
    confirm_by: datetime | None = None


def lock(connection: Connection) -> None:
    """Nobody else commits or installs before this transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def read_targets(connection: Connection) -> dict[str, Target]:
    """Every target that is set."""
    rows = connection.execute("SELECT target, version, since FROM policy_target").fetchall()
    return {row[0]: Target(*row) for row in rows}


def target_of(targets: Mapping[str, Target], site: str, device: str) -> Target | None:
    """The target that a device follows; None: nothing was ever installed for it."""
    return targets.get(DEVICE + device) or targets.get(SITE + site) or targets.get(ALL)


def change(connection: Connection, wanted: Mapping[str, int | None], doing: Doing) -> int | None:
    """Set targets (None takes one away), log it, tell every mediation. The log's id, or None when nothing changed.

    The caller holds the lock.
    """
    before = read_targets(connection)
    changed: Changed = {
        target: (known.version if (known := before.get(target)) else None, version)
        for target, version in wanted.items()
        if (known.version if (known := before.get(target)) else None) != version
    }
    if not changed:
        return None
    for target, (_, version) in changed.items():
        _set(connection, target, version, doing.now)
    row = connection.execute(
        """
        INSERT INTO policy_installation (action, target, version, installed_by, installed_at, changed, is_staged,
                                         confirm_by)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING installation_id
        """,
        (
            doing.action,
            doing.target,
            doing.version,
            doing.actor,
            doing.now,
            Jsonb(changed),
            doing.is_staged,
            doing.confirm_by,
        ),
    ).fetchone()
    tell(connection)
    return int(row[0]) if row else None


def forget(connection: Connection, target: str) -> None:
    """Its site or device is gone."""
    connection.execute("DELETE FROM policy_target WHERE target = %s", (target,))


def tell(connection: Connection) -> None:
    """Make every mediation look again, once this transaction is committed."""
    row = connection.execute("SELECT coalesce(max(version), 0) FROM policy_target WHERE target = 'all'").fetchone()
    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(row[0] if row else 0)))


def _set(connection: Connection, target: str, version: int | None, now: datetime) -> None:
    if version is None:
        forget(connection, target)
        return
    connection.execute(
        """
        INSERT INTO policy_target (target, version, since) VALUES (%s, %s, %s)
        ON CONFLICT (target) DO UPDATE SET version = excluded.version, since = excluded.since
        """,
        (target, version, now),
    )
