"""All that is kept about one number: told to who has a right to it, or erased (GDPR articles 15 and 17).

    calls of both datasets ─┐                   erase ─► the archive can be read? ─► calls: the number becomes a mark
    lists' entries         ─┴─► export                    ─► kept tops: likewise ─► archived days: written anew

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
from typing import TYPE_CHECKING, Any

from psycopg import Connection, sql

from ringfence.accounts import audit
from ringfence.analytics.calls import AnyCall, CallFilter, find_calls
from ringfence.database.catalogue import event_tables
from ringfence.database.connection import SCHEMA, Database
from ringfence.database.partitions import list_partitions
from ringfence.database.sight import require_all_sites, require_full_numbers
from ringfence.errors import InvalidInputError, UnavailableError
from ringfence.mediation import evidence_requests
from ringfence.mediation.jobs import Progress
from ringfence.policy.lists import any_kind
from ringfence.policy.lists.entries import EntryFilter
from ringfence.storage.archive.leftover import remove_leftovers
from ringfence.storage.archive.parts import all_parts
from ringfence.storage.expiry import between_rounds
from ringfence.vocabulary import Dataset, NumberClass

if TYPE_CHECKING:
    from ringfence.storage.archive.erasing import Marking

KIND = "erase_number"
MAX_CALLS = 1_000_000
_PAGE = 5_000
_DATASETS = {"enum_event": "enum", "sip_event": "sip"}
_MARK = "erased-"

# What erasing does not reach, for who asked for it.
LEFT = (
    "Backups that exist keep the number until they are dropped; a restore brings it back: erase it again then.",
    "Journals of edges keep events for edge.journal.keep_hours, messages on probes for probe.evidence.keep_hours; what "
    "is sent again after a failover to an older state holds the number again.",
    "Rules, lists and committed versions of the policy are kept as they were signed: take the number off the lists.",
    "The audit trail is never changed; entries of list changes may name the number.",
    "Copies that left: exports, reports sent by e-mail, HEP collectors, alerts; copies that others made of the "
    "archive, and versions of its files that a bucket keeps.",
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
    """Put a mark in the number's place, a day's calls at a time, also in the archive; what was changed, what is left.

    UnavailableError: the archive cannot be reached; before anything was changed, or it says what was. May be begun anew
    after an interruption: what is marked stays so. The trail names the mark, never the number.
    """
    _check(number)
    from ringfence.storage.archive.erasing import Marking  # Parquet is loaded when somebody erases

    marking = Marking(digits_of(number), f"{_MARK}{secrets.token_hex(6)}")
    _look_through_archive(database, marking, progress)
    done = {"enum": 0, "sip": 0, "tops": 0, "archived": 0, "files": 0}
    try:
        _erase_in_database(database, marking, done, progress)
        _erase_in_archive(database, marking, done, progress)
    except BaseException:
        with database.connection() as connection:
            audit.record(connection, actor, "number.erase", marking.mark, done | {"is_complete": False})
        raise
    with database.connection() as connection:
        entries = _entries(connection, number, datetime.now(UTC))
        audit.record(connection, actor, "number.erase", marking.mark, done)
    return done | {"mark": marking.mark, "entries": entries, "left": list(LEFT)}


def _look_through_archive(database: Database, marking: Marking, progress: Progress) -> None:
    """Read every file that may have the number, before anything is changed. UnavailableError: one cannot be read."""
    with database.connection() as connection:
        archived = all_parts(connection)
    for place, part in enumerate(archived):
        progress.at(place, len(archived), "looking through the archive")
        marking.count(part)


def _erase_in_database(database: Database, marking: Marking, done: dict[str, int], progress: Progress) -> None:
    from ringfence.storage.archive.erasing import forget_copy

    # A copy that a round makes meanwhile would have the number, and would answer once its day goes.
    with between_rounds(database, lambda: progress.at(0, phase="waiting for a round of retention")):
        with database.connection() as connection:
            days = [day for table in event_tables() for day in list_partitions(connection, table.name)]
        for place, day in enumerate(days):
            progress.at(place, len(days), "erasing")
            with database.connection() as connection:
                marked = _mark_calls(connection, day.table, day.name, marking.number, marking.mark)
                if marked:
                    forget_copy(connection, day.table, day.day)
            done[_DATASETS[day.table]] += marked
        with database.connection() as connection:
            done["tops"] = _mark_tops(connection, marking.number, marking.mark)
            evidence_requests.forget_all(connection)


def _erase_in_archive(database: Database, marking: Marking, done: dict[str, int], progress: Progress) -> None:
    """Every part that answers; those that are copies were made of marked rows, or of rows without the number."""
    from ringfence.storage.archive.erasing import rewrite_part

    while True:
        with database.connection() as connection:
            archived = [part for part in all_parts(connection) if part.released_at is not None]
        is_whole = True
        for place, part in enumerate(archived):
            progress.at(place, len(archived), "writing archived days anew")
            found = marking.count(part)
            if not found:
                continue
            if rewrite_part(database, part, marking, lambda _rows, at=place: progress.at(at)):  # type: ignore[misc]
                done["archived"] += found
                done["files"] += 1
            else:
                is_whole = False
        if is_whole:
            break
    if failures := remove_leftovers(database):
        raise UnavailableError(
            f"{len(failures)} files that have the number are to be removed still, which rounds of retention do as soon "
            f"as they can: {failures[0]}"
        )


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


def _mark_calls(connection: Connection, table: str, partition: str, digits: int, mark: str) -> int:
    statement = sql.SQL(_MARK_CALLS).format(
        table=sql.Identifier(SCHEMA, partition), more=sql.SQL(_MORE_OF_SIP if table == "sip_event" else "")
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
