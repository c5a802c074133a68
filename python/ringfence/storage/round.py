"""What the last round of retention did, kept in the database so that every mediation can tell it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

KEY = "storage.last_round"


@dataclass
class Round:
    """One look at disk and days.

    `failures`: one line each; `waiting`: days that are due and could not go; `short_bytes`: over a limit though nothing
    can go; `made_room`: the last time that days went for want of room, in this round or one before it.
    """

    at: datetime
    dropped: list[dict[str, Any]] = field(default_factory=list)
    archived: list[dict[str, Any]] = field(default_factory=list)
    rollup_rows: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    short_bytes: int = 0
    made_room: dict[str, Any] | None = None

    @property
    def did_something(self) -> bool:
        """Whether it is worth a line in the log."""
        return bool(self.dropped or self.archived or self.failures or self.rollup_rows)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"at": self.at.isoformat()}


def write_round(connection: Connection, done: Round) -> None:
    """Note a round as the last one."""
    connection.execute(
        "INSERT INTO setting (key, value, changed_at) VALUES (%s, %s, %s) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
        (KEY, Jsonb(done.as_json()), done.at),
    )


def read_round(connection: Connection) -> dict[str, Any] | None:
    """The last round; None before the first."""
    row = connection.execute("SELECT value FROM setting WHERE key = %s", [KEY]).fetchone()
    return row[0] if row else None
