"""Who calls and is called most: top sources, destinations and pairs of each bucket, exact."""

from __future__ import annotations

from collections.abc import Callable

from ringfence.analytics.counting import SLOT, raw_conditions
from ringfence.analytics.question import TABLES, Asked, Row
from ringfence.analytics.words import number_text

# Not a number: the raw text stands for it, or its class where there is none.
_SIDE = """{side} AS {side}_number, CASE WHEN {side} = 0 THEN {side}_raw END AS {side}_text,
           CASE WHEN {side} = 0 AND {side}_raw IS NULL THEN {side}_class END AS {side}_kind"""
_TOP = """
WITH counted AS (
    SELECT {slot} AS slot, {sides}, count(*) AS calls
    FROM {table} WHERE time >= %(start)s AND time < %(end)s{conditions}
    GROUP BY slot, {keys}
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY slot ORDER BY calls DESC, {keys}) AS rank FROM counted
)
SELECT slot, rank, calls, {keys} FROM ranked WHERE rank <= %(limit)s ORDER BY slot, rank
"""


def by_calls(*sides: str) -> Callable[[Asked], list[Row]]:
    """A view with a row (bucket, rank, number of each side, calls); a bucket without a call has none."""

    def fetch(asked: Asked) -> list[Row]:
        where, values = raw_conditions(asked)
        statement = _TOP.format(
            slot=SLOT,
            sides=", ".join(_SIDE.format(side=side) for side in sides),
            keys=", ".join(f"{side}_{part}" for side in sides for part in ("number", "text", "kind")),
            table=TABLES[asked.query.dataset],
            conditions=where,
        )
        rows: list[Row] = []
        for slot, rank, calls, *key in asked.connection.execute(
            statement.encode(), {**values, "limit": asked.query.limit}
        ):
            shown = [number_text(*part) for part in zip(key[::3], key[1::3], (kind or 0 for kind in key[2::3]),
                                                        strict=True)]  # fmt: skip
            rows.append((asked.buckets.keys[slot], rank, *shown, calls))
        return rows

    return fetch
