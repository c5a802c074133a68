"""What is kept, how large it is, what would go next: for `ringfence database storage`, API, status and metrics."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ringfence.database.catalogue import CATALOGUE, event_tables
from ringfence.database.citus import shard_rows, spread_tables
from ringfence.database.connection import SCHEMA
from ringfence.database.partitions import Partition
from ringfence.storage.archive import parts
from ringfence.storage.disk import Disk
from ringfence.storage.expiry import Keeping, held_partitions, limits_of
from ringfence.storage.lost import count_lost
from ringfence.storage.retention import next_drop, plan_drops
from ringfence.storage.round import read_round

# Two rounds may fail or take long before it is said that nobody looks after the disk.
QUIET_ROUNDS = 10
QUIET_S = 900.0
# How long it is told that days went for want of room.
ROOM_NOTED = timedelta(days=1)

_SIZES = """
SELECT c.relname, coalesce(sum(pg_total_relation_size(coalesce(i.inhrelid, c.oid))), 0)::bigint
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhparent = c.oid
WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY (%s) GROUP BY c.relname
"""

# What the planner knows; -1 where it was never told.
_ROWS = (
    "SELECT relname, reltuples::bigint FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = ANY (%s)"
)


def storage_report(connection: psycopg.Connection[Any], keeping: Keeping, now: datetime) -> dict[str, Any]:
    """Disk, tables, days, archive, what goes now and next, and the last round."""
    disk = keeping.read_disk(connection)
    held = held_partitions(connection)
    today = now.astimezone(UTC).date()
    plan = plan_drops(held, limits_of(keeping.settings), disk, today)
    upcoming = next_drop(held, plan.drops, today)
    done = read_round(connection)
    return {
        "disk": _disk(disk, keeping),
        "tables": _tables(connection),
        "days": _days(connection, [one for one in held if one.day <= today]),
        "archive": _archive(connection, keeping),
        "archived_days": _archived_days(connection),
        "drops_now": [{"partition": one.partition.name, "why": one.why.value} for one in plan.drops],
        "drops_next": None if upcoming is None else upcoming.name,
        "short_bytes": plan.short_bytes,
        "last_round": done,
        "lost_days": count_lost(connection),
        "settings": _settings(keeping),
        "reason": wrong_with(disk, keeping, done, now),
        "notes": notes_on(done, now),
    }


def notes_on(done: dict[str, Any] | None, now: datetime) -> list[str]:
    """What is well and yet worth a word: days that went for want of room in the last day."""
    room = done.get("made_room") if done else None
    if room is None or now - datetime.fromisoformat(room["at"]) > ROOM_NOTED:
        return []
    count = len(room["partitions"])
    went = "1 day" if count == 1 else f"{count} days"
    return [f"{went} of calls went for want of room at {room['at'][:16].replace('T', ' ')} UTC ({room['why']})"]


def wrong_with(disk: Disk | None, keeping: Keeping, done: dict[str, Any] | None, now: datetime) -> str | None:
    """Why storage is not well; None when it is."""
    if disk is not None and disk.used_percent > keeping.settings.full_percent:
        left = "the oldest days are dropped"
        if done is not None and done["waiting"] and done["failures"]:
            left = f"the oldest days wait for the archive ({done['failures'][0]})"
        elif done is not None and done["short_bytes"]:
            left = "no closed day is left to drop"
        return f"the disk is {disk.used_percent:.0f} % full, {keeping.settings.full_percent} % is the limit: {left}"
    if done is None:
        return None
    lost = [one["partition"] for one in done["dropped"] if keeping.place is not None and not one["is_archived"]]
    if lost:
        return f"dropped without an archive, for want of room: {', '.join(lost)}"
    if done["short_bytes"]:
        return f"a dataset is {_mib(done['short_bytes'])} over its share and no closed day of it is left to drop"
    if done["failures"]:
        return str(done["failures"][0])
    age_s = (now - datetime.fromisoformat(done["at"])).total_seconds()
    if age_s > max(QUIET_S, QUIET_ROUNDS * keeping.settings.check_s):
        return f"nobody has looked after the disk since {done['at'][:19]} UTC"
    return None


def storage_part(connection: psycopg.Connection[Any], keeping: Keeping, now: datetime) -> dict[str, Any]:
    """The short form, for status and metrics."""
    disk, done = keeping.read_disk(connection), read_round(connection)
    return {
        "reason": wrong_with(disk, keeping, done, now),
        "notes": notes_on(done, now),
        "disk": _disk(disk, keeping),
        "last_round": done,
    }


def _settings(keeping: Keeping) -> dict[str, Any]:
    """The settings that retention goes by, by the names that they are written with."""
    storage = keeping.settings
    return {
        "enum.days": storage.enum.days,
        "enum.disk_percent": storage.enum.disk_percent,
        "sip.days": storage.sip.days,
        "sip.disk_percent": storage.sip.disk_percent,
        "minute_days": storage.minute_days,
        "hour_days": storage.hour_days,
        "full_percent": storage.full_percent,
        "drop_unarchived": storage.drop_unarchived,
        "archive.to": storage.archive.to,
        "archive.after_days": storage.archive.after_days,
    }


def _disk(disk: Disk | None, keeping: Keeping) -> dict[str, Any] | None:
    if disk is None:
        return None
    return {
        "bytes": disk.total,
        "used_bytes": disk.used,
        "used_percent": round(disk.used_percent, 1),
        "limit_percent": keeping.settings.full_percent,
        "source": disk.source,
        "where": disk.where,
    }


def _tables(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    names = [table.name for table in CATALOGUE]
    sizes = dict(connection.execute(_SIZES, (SCHEMA, names)).fetchall())
    for name in set(names) & {name for name, how in spread_tables(connection).items() if how == "h"}:
        row = connection.execute("SELECT citus_total_relation_size(to_regclass(%s))", [f"{SCHEMA}.{name}"]).fetchone()
        sizes[name] = row[0] if row else 0
    return [
        {"table": table.name, "bytes": sizes.get(table.name, 0), "kept_by": table.kept.value} for table in CATALOGUE
    ]


def _days(connection: psycopg.Connection[Any], held: list[Partition]) -> list[dict[str, Any]]:
    """Days up to today; `rows` and `bytes_per_event` are the planner's estimate, None before it was made."""
    names = [one.name for one in held]
    rows = dict(connection.execute(_ROWS, (SCHEMA, names)).fetchall())
    if "h" in spread_tables(connection).values():
        rows = shard_rows(connection, names)
    copied = parts.copied_days(connection)
    return [
        {
            "table": one.table,
            "day": str(one.day),
            "bytes": one.bytes,
            "rows": count if count > 0 else None,
            "bytes_per_event": round(one.bytes / count, 1) if count > 0 else None,
            "is_archived": (one.table, one.day) in copied,
        }
        for one in held
        for count in [rows.get(one.name, -1)]
    ]


def _archive(connection: psycopg.Connection[Any], keeping: Keeping) -> dict[str, Any]:
    by_table: dict[str, list[parts.Part]] = defaultdict(list)
    for part in parts.all_parts(connection):
        by_table[part.table_name].append(part)
    return {
        "place": None if keeping.place is None else keeping.place.name,
        "tables": [
            {
                "table": table.name,
                "parts": len(found := by_table[table.name]),
                "rows": (rows := sum(part.rows for part in found)),
                "bytes": (size := sum(part.bytes for part in found)),
                "bytes_per_event": round(size / rows, 1) if rows else None,
                "first_day": str(found[0].day) if found else None,
                "last_day": str(found[-1].day) if found else None,
                "answers_for": sum(part.rows for part in found if part.released_at is not None),
            }
            for table in event_tables()
        ],
    }


def _archived_days(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Days of which the archive answers for calls, oldest first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts.all_parts(connection):
        if part.released_at is None:
            continue
        key = (part.table_name, str(part.day))
        one = found.setdefault(key, {"table": key[0], "day": key[1], "rows": 0, "bytes": 0})
        one["rows"] += part.rows
        one["bytes"] += part.bytes
    return list(found.values())


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
