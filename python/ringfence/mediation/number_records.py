"""All that is kept about one number: told to who has a right to it, or erased (GDPR articles 15 and 17).

    calls of both datasets ─┐
    lists' entries         ─┴─► export          erase ─► calls: the number becomes a mark ─► kept tops: likewise

Erasing changes no figure: calls stay, and counts hold no numbers but the kept tops of hours, where the number is
replaced as it is in the calls, so that both go on agreeing. The mark is random: it says that these calls had one
number, and nothing of which. What cannot be erased here, `LEFT` says.
"""

from __future__ import annotations

import secrets
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, sql

from ringfence.accounts import audit
from ringfence.analytics.calls import AnyCall, CallFilter, find_calls
from ringfence.database.connection import Database
from ringfence.database.sight import require_all_sites, require_full_numbers
from ringfence.errors import InvalidInputError
from ringfence.mediation.jobs import Progress
from ringfence.policy.lists import any_kind
from ringfence.policy.lists.entries import EntryFilter
from ringfence.vocabulary import Dataset, NumberClass

KIND = "erase_number"
MAX_CALLS = 1_000_000
_PAGE = 5_000
_TABLES = ("enum_event", "sip_event")
_MARK = "erased-"

# What erasing does not reach, for who asked for it.
LEFT = (
    "Backups that exist keep the number until they are dropped; a restore brings it back: erase it again then.",
    "Journals of edges keep events for edge.journal.keep_hours, messages on probes for probe.evidence.keep_hours; what "
    "is sent again after a failover to an older state holds the number again.",
    "Rules, lists and committed versions of the policy are kept as they were signed: take the number off the lists.",
    "The audit trail is never changed; entries of list changes may name the number.",
    "Archived days, and copies that left: exports, reports sent by e-mail, HEP collectors, alerts.",
)

_MARK_CALLS = """
UPDATE {table} SET
    source_raw = CASE WHEN source = %(number)s THEN %(mark)s ELSE source_raw END,
    destination_raw = CASE WHEN destination = %(number)s THEN %(mark)s ELSE destination_raw END,
    source = CASE WHEN source = %(number)s THEN 0 ELSE source END,
    destination = CASE WHEN destination = %(number)s THEN 0 ELSE destination END{more}
WHERE source = %(number)s OR destination = %(number)s
"""
# Other headers of a call may name the number too.
_MORE_OF_SIP = ", details = CASE WHEN strpos(details, %(digits)s) > 0 THEN NULL ELSE details END"
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(%s) ORDER BY 1"
_KEPT_TOPS = """
SELECT hour, device_id, dataset, side, numbers, others, texts FROM hour_top
WHERE position(%(packed)s IN numbers) > 0 OR position(%(packed)s IN coalesce(others, '')) > 0
"""
_MARK_TOP = """
UPDATE hour_top SET numbers = %s, others = %s, texts = %s
WHERE hour = %s AND device_id = %s AND dataset = %s AND side = %s
"""


def digits_of(number: str) -> int:
    """`+12105550123` as rows hold it. InvalidInputError: it is not one whole number in E.164."""
    digits = number.removeprefix("+")
    if not (number.startswith("+") and digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 15):
        raise InvalidInputError("number: must be one whole number such as +12105550123")
    return int(digits)


def is_mark(number: str, number_class: str) -> bool:
    """Whether a call shows a mark in the place of an erased number; nothing that a caller sends looks like one."""
    return number.startswith(_MARK) and number_class == NumberClass.NUMBER.word


def read_records(database: Database, number: str, now: datetime) -> dict[str, Any]:
    """Calls and entries of a number, and where else it may be. Audited. InvalidInputError, ForbiddenError."""
    _check(number)
    calls = [call.as_json() for call in calls_of(database, number, now)]
    with database.connection() as connection:
        entries = _entries(connection, number, now)
    return {"number": number, "at": now.isoformat(), "calls": calls, "entries": entries, "also": list(LEFT)}


def calls_of(database: Database, number: str, now: datetime) -> Iterator[AnyCall]:
    """Every call that is kept of a number, by dataset, newest first; at most MAX_CALLS of each."""
    for dataset in Dataset:
        wanted, left = CallFilter(dataset, number=number, limit=_PAGE), MAX_CALLS
        while left > 0:
            with database.connection() as connection:
                found = find_calls(connection, wanted, now=now)
            yield from found
            left -= len(found)
            if len(found) < _PAGE:
                break
            wanted = replace(wanted, before=found[-1].cursor)


def record_export(connection: Connection, actor: str, calls: int) -> None:
    """Who took a copy of somebody's records; not whose."""
    audit.record(connection, actor, "number.export", "", {"calls": calls})


def erase(database: Database, number: str, actor: str, progress: Progress) -> dict[str, Any]:
    """Put a mark in the number's place, a day's calls at a time; what was changed, and what is left.

    May be begun anew after an interruption: what is marked stays so. The trail names the mark, never the number.
    """
    _check(number)
    digits = digits_of(number)
    mark = f"{_MARK}{secrets.token_hex(6)}"
    with database.connection() as connection:
        parts = [
            (table, str(part)) for table in _TABLES for (part,) in connection.execute(_PARTITIONS, (table,)).fetchall()
        ]
    calls = dict.fromkeys(_TABLES, 0)
    for done, (table, part) in enumerate(parts):
        progress.at(done, len(parts), "erasing")
        with database.connection() as connection:
            calls[table] += _mark_calls(connection, table, part, digits, mark)
    with database.connection() as connection:
        tops = _mark_tops(connection, digits, mark)
        entries = _entries(connection, number, datetime.now(UTC))
        found = {"enum": calls["enum_event"], "sip": calls["sip_event"], "tops": tops}
        audit.record(connection, actor, "number.erase", mark, found)
    return found | {"mark": mark, "entries": entries, "left": list(LEFT)}


def _check(number: str) -> None:
    digits_of(number)
    require_all_sites("all that is kept of a number")
    require_full_numbers("all that is kept of a number")


def _entries(connection: Connection, number: str, now: datetime) -> list[dict[str, Any]]:
    """The entries of lists under which the number falls."""
    return [
        entry
        for known in any_kind.overview(connection, now)
        for entry in any_kind.page_of(connection, known.name, EntryFilter(number=number), now, limit=1000)["entries"]
    ]


def _mark_calls(connection: Connection, table: str, part: str, digits: int, mark: str) -> int:
    statement = sql.SQL(_MARK_CALLS).format(
        table=sql.SQL(part),
        more=sql.SQL(_MORE_OF_SIP if table == "sip_event" else ""),  # as the catalog quotes it
    )
    return connection.execute(statement, {"number": digits, "digits": str(digits), "mark": mark}).rowcount


def _mark_tops(connection: Connection, digits: int, mark: str) -> int:
    """Replace the number in the kept tops; in how many."""
    changed = 0
    packed = digits.to_bytes(8, "little", signed=True)
    for hour, device, dataset, side, numbers, others, texts in connection.execute(
        _KEPT_TOPS, {"packed": packed}
    ).fetchall():
        listed = [*texts, mark]
        replaced = [_replace(column, digits, -len(listed)) for column in (numbers, others)]
        if replaced != [numbers, others]:
            connection.execute(_MARK_TOP, (*replaced, listed, hour, device, dataset, side))
            changed += 1
    return changed


def _replace(packed: bytes | None, number: int, by: int) -> bytes | None:
    """Packed numbers (`mediation.ingest.closing`) with one for another; a text n is the number -1 - n."""
    if packed is None:
        return None
    numbers = array("q", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    for place, one in enumerate(numbers):
        if one == number:
            numbers[place] = by
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
