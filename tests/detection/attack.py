"""Calls for detections: queries put straight into the table as one device's stream, as ingest would leave them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.ingest.samples import upload

from ringfence.database.connection import Database
from ringfence.mediation.ingest.store import Ingest

VICTIM = 12105550100


class Device:
    """One ENUM server whose uploads go through ingest."""

    def __init__(self, database: Database, name: str = "enum-1", site: str = "main") -> None:
        self._database = database
        self._ingest = Ingest(database)
        self._sequence = 0
        with database.connection() as connection:
            connection.execute(
                "INSERT INTO site (name, country, own_ranges) VALUES (%s, 'US', '{+121055501??}')"
                " ON CONFLICT DO NOTHING",
                (site,),
            )
            row = connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash)"
                " SELECT %(name)s::text, 'enum', site_id, sha256(convert_to(%(name)s::text, 'UTF8')) FROM site"
                " WHERE name = %(site)s RETURNING device_id",
                {"name": name, "site": site},
            ).fetchone()
        assert row is not None
        self.device_id = int(row[0])

    def upload(self, events: Sequence[dict[str, Any]]) -> None:
        """Commit events as the next of this device's stream."""
        self._ingest.accept(self.device_id, "enum", 1, 0, upload(events, self._sequence + 1))
        self._sequence += len(events)


def flood(start: datetime, calls: int, *, per_s: float = 100, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """Inbound calls to one number, each from another source."""
    return [
        {
            "time": start + timedelta(seconds=number / per_s),
            "source": 13105550000 + first + number,
            "destination": VICTIM,
            "direction": 1,
            "source_raw": "",
            "destination_raw": "",
            **fields,
        }
        for number in range(calls)
    ]
