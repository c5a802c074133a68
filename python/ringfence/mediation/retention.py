"""How long calls are kept, by dataset: what is older goes, day by day, and with it the kept tops that name its numbers.

Counts stay: they hold no numbers, and answer questions about years.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from ringfence.database.connection import Database
from ringfence.database.partitions import drop_before
from ringfence.settings import RetentionSettings
from ringfence.vocabulary import Dataset

_TABLES = {Dataset.ENUM: "enum_event", Dataset.SIP: "sip_event"}


def drop_old(database: Database, settings: RetentionSettings, now: datetime) -> dict[str, int]:
    """Drop what is older than the settings keep; how many days of calls went, by dataset."""
    dropped = {}
    for dataset, days in ((Dataset.ENUM, settings.enum_days), (Dataset.SIP, settings.sip_days)):
        if not days:
            continue
        oldest = (now.astimezone(UTC) - timedelta(days=days)).date()
        dropped[dataset.word] = len(drop_before(database, _TABLES[dataset], oldest))
        with database.connection() as connection:
            connection.execute(
                "DELETE FROM hour_top WHERE dataset = %s AND hour < %s",
                (int(dataset), datetime.combine(oldest, time(), UTC)),
            )
    return dropped
