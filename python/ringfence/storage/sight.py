"""What of the archive a connection may see: the same as of the database.

A connection of somebody who is limited (to sites, to numbers without their last digits) finds views in the place of our
tables, through its search path. Files have no such views, so they are made here: by the view's schema, and the devices
that the connection sees. A schema that this file does not know is refused: the archive must never show more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from ringfence.database.connection import SCHEMA
from ringfence.database.sight import BY_SITE, HIDDEN_DIGITS, MASK, MASKED, UNMASKABLE
from ringfence.errors import UnavailableError

_SEEN_IN = """
SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(%s)
"""


@dataclass(frozen=True)
class ArchiveSight:
    """`schema`: where the connection finds the event table; `devices` None: all."""

    schema: str
    devices: tuple[int, ...] | None
    is_masked: bool

    def column(self, name: str, kinds: Mapping[str, str]) -> str:
        """DuckDB's expression for a column as it is shown; `kinds` are the table's columns with their types."""
        side = name.removesuffix("_raw")
        if not self.is_masked:
            return f'"{name}"'
        if name in UNMASKABLE:
            return f'CAST(NULL AS VARCHAR) AS "{name}"'
        if side not in ("source", "destination") or not {side, f"{side}_raw"} <= kinds.keys():
            return f'"{name}"'
        if name == side:
            return f'CAST(0 AS BIGINT) AS "{name}"'
        return f"""CASE WHEN "{side}" <> 0 THEN '+' || {_hidden(f'"{side}"::VARCHAR')} ELSE {_hidden_runs(f'"{name}"')}
                   END AS "{name}" """

    @property
    def condition(self) -> str:
        """` WHERE …` of the rows that are shown."""
        if self.devices is None:
            return ""
        return f" WHERE device_id IN ({', '.join(map(str, self.devices))})" if self.devices else " WHERE false"


def archive_sight(connection: psycopg.Connection[Any], table: str) -> ArchiveSight:
    """What this connection may see of an event table's archive. UnavailableError: in a way that is not known here."""
    row = connection.execute(_SEEN_IN, [table]).fetchone()
    schema = row[0] if row else ""
    if schema == SCHEMA:
        return ArchiveSight(schema, None, is_masked=False)
    if schema not in (BY_SITE, MASKED):
        raise UnavailableError(f"archive: calls seen through {schema or 'nothing'} cannot be asked for there")
    devices = tuple(int(one) for (one,) in connection.execute("SELECT device_id FROM device ORDER BY device_id"))
    return ArchiveSight(schema, devices, is_masked=schema == MASKED)


def _hidden(text: str) -> str:
    return f"left({text}, -{HIDDEN_DIGITS}) || repeat('{MASK}', least({HIDDEN_DIGITS}, length({text})))"


def _hidden_runs(text: str) -> str:
    return f"""array_to_string(list_transform(regexp_extract_all({text}, '[0-9]+|[^0-9]+'),
               lambda run: CASE WHEN regexp_matches(run, '^[0-9]') THEN {_hidden("run")} ELSE run END), '')"""
