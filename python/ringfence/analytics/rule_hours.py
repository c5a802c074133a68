"""Hours in which a rule decided no call, as the kept counts prove: a search by rule passes over them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from ringfence.storage.rollups import kept_since
from ringfence.vocabulary import Dataset, Part

# An hour without counts proves nothing. What is packed of an hour is right as long as the hour has as many calls as
# then; after a late batch, in an hour that is open, and for who sees some devices only, the counts by value are read.
_WITHOUT = """
WITH counted AS MATERIALIZED (
    SELECT hour, sum(calls)::bigint AS calls FROM hour_total
    WHERE dataset = %(dataset)s AND hour >= %(since)s AND hour < %(until)s
    GROUP BY hour
), packed AS MATERIALIZED (
    SELECT hour, texts FROM hour_part JOIN counted USING (hour, calls)
    WHERE dataset = %(dataset)s AND part = %(part)s AND device_id = 0 AND hour >= %(since)s AND hour < %(until)s
), missing AS MATERIALIZED (
    SELECT hour FROM counted EXCEPT SELECT hour FROM packed
)
SELECT hour FROM packed WHERE %(rule)s <> ALL (texts)
UNION ALL (
    SELECT hour FROM missing
    EXCEPT
    SELECT hour FROM part_hour
    WHERE dataset = %(dataset)s AND part = %(part)s AND value = %(rule)s
      AND hour = ANY (ARRAY(SELECT hour FROM missing))
)
"""


def hours_without(connection: psycopg.Connection[Any], rule: str, start: datetime, end: datetime) -> list[datetime]:
    """Begins of the hours in [start, end) that have calls, none of them decided by this rule; in no order.

    Counts and calls are written in one transaction, so that a search that begins after this misses none that was there.
    """
    found = connection.execute("SELECT rule_id::text FROM policy_rule WHERE name = %s", [rule]).fetchone()
    values = {
        "dataset": int(Dataset.ENUM),
        "part": int(Part.RULE),
        "rule": found[0] if found else "",  # a name that no rule has decided nothing
        "since": max(kept_since(connection).hours, start),
        "until": end,
    }
    return [hour.astimezone(UTC) for (hour,) in connection.execute(_WITHOUT, values)]
