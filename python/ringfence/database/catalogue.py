"""The tables that grow with calls, declared once: retention, archive, sizes and distribution go by this list.

Whoever adds a table that calls fill adds a line here; `tests/database/test_catalogue.py` compares it with the schema.

* An *event* table has a row for each call. It is partitioned by day, dropped by the day, never deleted from.
* A *rollup* has counts per period. With `is_partitioned` its days are dropped like those of events, else rows whose
  period is past its time are deleted a few thousand at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ringfence.vocabulary import Dataset

# All tables of the catalogue are distributed by it, so that the rows of one device lie together (Citus).
DISTRIBUTION_COLUMN = "device_id"


class Kept(StrEnum):
    """Which setting says how long rows are kept: `storage.<dataset>.days`, `.minute_days`, `.hour_days`, or none."""

    EVENTS = "events"
    MINUTES = "minute_days"
    HOURS = "hour_days"
    BY_OWNER = "by_owner"  # the code that fills the table also empties it


@dataclass(frozen=True)
class StoredTable:
    """A table that grows with calls; `time` is the column that its rows are kept by, `dataset` that of event tables."""

    name: str
    time: str
    kept: Kept
    is_partitioned: bool
    dataset: Dataset | None = None

    @property
    def is_event_table(self) -> bool:
        """Whether it has a row for each call."""
        return self.kept is Kept.EVENTS


CATALOGUE: tuple[StoredTable, ...] = (
    StoredTable("enum_event", "time", Kept.EVENTS, True, Dataset.ENUM),
    StoredTable("sip_event", "time", Kept.EVENTS, True, Dataset.SIP),
    StoredTable("call_minute", "minute", Kept.MINUTES, False),
    StoredTable("rule_minute", "minute", Kept.BY_OWNER, False),
    StoredTable("rule_hour", "hour", Kept.BY_OWNER, False),
    StoredTable("device_minute", "minute", Kept.MINUTES, False),
    StoredTable("call_quarter", "quarter", Kept.MINUTES, False),
    StoredTable("call_hour", "hour", Kept.HOURS, False),
    StoredTable("part_quarter", "quarter", Kept.MINUTES, False),
    StoredTable("part_hour", "hour", Kept.HOURS, False),
    StoredTable("call_second", "minute", Kept.MINUTES, False),
    StoredTable("call_up", "minute", Kept.MINUTES, False),
    StoredTable("hour_total", "hour", Kept.HOURS, False),
    StoredTable("hour_peak", "hour", Kept.HOURS, False),
    StoredTable("hour_top", "hour", Kept.HOURS, False),
    StoredTable("hour_part", "hour", Kept.HOURS, False),
)


def event_tables() -> tuple[StoredTable, ...]:
    """The tables with a row for each call."""
    return tuple(table for table in CATALOGUE if table.is_event_table)


def partitioned_tables() -> tuple[StoredTable, ...]:
    """The tables whose days are partitions."""
    return tuple(table for table in CATALOGUE if table.is_partitioned)


def stored_table(name: str) -> StoredTable:
    """The table of a name; KeyError when it is not in the catalogue."""
    return {table.name: table for table in CATALOGUE}[name]
