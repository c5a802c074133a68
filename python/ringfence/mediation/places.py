"""Which sites and devices there are, and what each device last reported of its policy: what installing needs to know.

Nothing here knows of policies, so that `ringfence.policy` may ask it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

from ringfence.errors import NotFoundError

LIVE_FOR = timedelta(seconds=10)  # five heartbeats at the default interval


@dataclass(frozen=True)
class Reported:
    """What a device last said."""

    device_id: int
    version: int
    last_seen_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Whether it was heard of lately."""
        return self.last_seen_at is not None and now - self.last_seen_at <= LIVE_FOR


@dataclass(frozen=True)
class Places:
    """Names of sites, and device → site of those that are registered."""

    sites: tuple[str, ...]
    devices: dict[str, str]
    reported: dict[str, Reported]

    def check(self, site: str | None, device: str | None) -> None:
        """NotFoundError when one of them does not exist."""
        if site is not None and site not in self.sites:
            raise NotFoundError(f"site {site!r} does not exist; `ringfence site list` shows those that do")
        if device is not None and device not in self.devices:
            raise NotFoundError(f"device {device!r} is not registered; `ringfence device list` shows those that are")


def read_places(connection: Connection) -> Places:
    """All of them, as they are now."""
    sites = connection.execute("SELECT name FROM site ORDER BY site_id").fetchall()
    devices = connection.execute(
        """
        SELECT d.name, s.name, d.device_id, coalesce(d.policy_version, 0), d.last_seen_at
        FROM device d JOIN site s USING (site_id) WHERE d.revoked_at IS NULL ORDER BY d.name
        """
    ).fetchall()
    return Places(
        tuple(row[0] for row in sites),
        {row[0]: row[1] for row in devices},
        {row[0]: Reported(row[2], row[3], row[4]) for row in devices},
    )


def apex_of(connection: Connection, site: str, device: str | None) -> str | None:
    """The zone that SBCs ask under, as reported: by the device, else by the ENUM device of the site seen last."""
    row = connection.execute(
        """
        SELECT d.report -> 'apex' ->> 0 FROM device d JOIN site s USING (site_id)
        WHERE d.kind = 'enum' AND d.revoked_at IS NULL AND s.name = %(site)s AND d.report -> 'apex' ->> 0 IS NOT NULL
          AND (%(device)s::text IS NULL OR d.name = %(device)s)
        ORDER BY d.last_seen_at DESC NULLS LAST LIMIT 1
        """,
        {"site": site, "device": device},
    ).fetchone()
    return row[0] if row else None
