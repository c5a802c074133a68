"""Questions for messages that probes keep, and their answers: the only SQL of table `evidence_request`.

    ask ─► row, NOTIFY ─► `evidence_feed` of every mediation ─► the probe's poll ─► answer ─► row, NOTIFY ─► who asked

Two who look at one call share a question. An answer is kept for KEPT, one without messages for a moment only: what is
not kept now may be a second later. Nothing here says who may ask; `call_ladder` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from ringfence.capture.kept_ladder import KeptLadder, unpack_ladders
from ringfence.errors import InvalidInputError, NotFoundError, UnavailableError
from ringfence.mediation.devices import Device
from ringfence.mediation.places import LIVE_FOR
from ringfence.vocabulary import EvidenceOutcome

CHANNEL = "ringfence_evidence"
# How long a question waits for its probe and an answer for who looks at it.
KEPT = timedelta(minutes=5)
KEPT_WITHOUT_MESSAGES = timedelta(seconds=5)
# A live probe that says nothing for so long is too old to be asked, or too busy.
ANSWERS_WITHIN = timedelta(seconds=15)
# Of one probe: questions that wait, and answers that are held; each has at most `kept_ladder.MAX_PACKED` octets.
MOST_WAITING = 32
MOST_HELD = 64


@dataclass(frozen=True)
class Question:
    """The messages of a Call-ID's calls that began in a period, microseconds by the probe's clock."""

    call_id: str
    from_us: int
    until_us: int


@dataclass(frozen=True)
class Request:
    """A question as it is kept. `outcome` None: its probe has not answered."""

    request_id: int
    device_id: int
    call_id: str
    from_us: int
    until_us: int
    asked_at: datetime
    outcome: int | None

    def as_json(self) -> dict[str, Any]:
        """As the probe reads it."""
        return {
            "request": self.request_id,
            "call_id": self.call_id,
            "from_us": self.from_us,
            "until_us": self.until_us,
        }


_COLUMNS = "request_id, device_id, call_id, from_us, until_us, asked_at, outcome"
_FIND = f"""
SELECT {_COLUMNS} FROM evidence_request
WHERE device_id = %(device_id)s AND call_id = %(call_id)s AND from_us = %(from_us)s AND until_us = %(until_us)s
"""  # noqa: S608 - constants
_MAKE_ROOM = """
DELETE FROM evidence_request WHERE device_id = %(device_id)s AND (expires_at <= %(now)s OR request_id IN (
    SELECT request_id FROM evidence_request WHERE device_id = %(device_id)s AND outcome IS NOT NULL
    ORDER BY request_id DESC OFFSET %(most)s))
"""
_ADD = """
INSERT INTO evidence_request (device_id, call_id, from_us, until_us, asked_at, expires_at)
VALUES (%(device_id)s, %(call_id)s, %(from_us)s, %(until_us)s, %(now)s, %(expires_at)s) ON CONFLICT DO NOTHING
"""


def live_probe(connection: Connection, name: str, now: datetime) -> int | None:
    """The id of a probe that was heard of lately; None: it is away, or not registered any more."""
    row = connection.execute(
        "SELECT device_id FROM device WHERE name = %s AND revoked_at IS NULL AND last_seen_at >= %s",
        (name, now - LIVE_FOR),
    ).fetchone()
    return int(row[0]) if row else None


def ask(connection: Connection, device_id: int, question: Question, now: datetime) -> Request:
    """Ask a probe, or share what was asked already. UnavailableError: too many questions wait for it."""
    values = {"device_id": device_id, **vars(question), "now": now, "expires_at": now + KEPT}
    connection.execute(_MAKE_ROOM, values | {"most": MOST_HELD})
    waiting = connection.execute(
        "SELECT count(*) FROM evidence_request WHERE device_id = %s AND outcome IS NULL", (device_id,)
    ).fetchone()
    if (found := _find(connection, values)) is not None:
        return found
    if waiting is not None and waiting[0] >= MOST_WAITING:
        raise UnavailableError(f"messages: {waiting[0]} questions wait for this probe already; try again soon")
    connection.execute(_ADD, values)
    tell(connection)
    made = _find(connection, values)
    if made is None:
        raise UnavailableError("messages: the question was withdrawn meanwhile; try again")
    return made


def present_requests(connection: Connection, now: datetime) -> tuple[Request, ...]:
    """Every question that is not past its time, in the order in which they were asked."""
    with connection.cursor(row_factory=class_row(Request)) as cursor:
        statement = f"SELECT {_COLUMNS} FROM evidence_request WHERE expires_at > %s ORDER BY request_id"  # noqa: S608
        return tuple(cursor.execute(statement.encode(), (now,)).fetchall())


def answer(
    connection: Connection, device: Device, request_id: int, outcome: EvidenceOutcome, body: bytes, now: datetime
) -> None:
    """Keep a probe's answer. NotFoundError: it was not asked that, or not any more; InvalidInputError: it is none."""
    has_messages = outcome is EvidenceOutcome.MESSAGES
    if has_messages:
        unpack_ladders(body)
    elif body:
        raise InvalidInputError(f"body: must be empty with the outcome {outcome.word}")
    answered = connection.execute(
        """
        UPDATE evidence_request SET outcome = %s, body = %s, expires_at = %s
        WHERE request_id = %s AND device_id = %s AND outcome IS NULL AND expires_at > %s
        """,
        (
            outcome,
            body if has_messages else None,
            now + (KEPT if has_messages else KEPT_WITHOUT_MESSAGES),
            request_id,
            device.device_id,
            now,
        ),
    )
    if answered.rowcount == 0:
        raise NotFoundError(f"question {request_id} is not open: it was answered, or nobody waits any more")
    tell(connection)


def read_answer(connection: Connection, request_id: int, now: datetime) -> tuple[int | None, list[KeptLadder]]:
    """What the probe answered (`EvidenceOutcome`; None: nothing yet) and the calls. NotFoundError: past its time."""
    row = connection.execute(
        "SELECT outcome, body FROM evidence_request WHERE request_id = %s AND expires_at > %s", (request_id, now)
    ).fetchone()
    if row is None:
        raise NotFoundError("messages: what the probe answered is not held any more; ask again")
    return row[0], unpack_ladders(row[1]) if row[1] is not None else []


def forget_all(connection: Connection) -> None:
    """Hold no messages any more, whoever looks at them."""
    connection.execute("DELETE FROM evidence_request")
    tell(connection)


def purge(connection: Connection, now: datetime) -> int:
    """Drop what is past its time; how many."""
    return connection.execute("DELETE FROM evidence_request WHERE expires_at <= %s", (now,)).rowcount


def tell(connection: Connection) -> None:
    """Every mediation, with the commit."""
    connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


def _find(connection: Connection, values: dict[str, Any]) -> Request | None:
    with connection.cursor(row_factory=class_row(Request)) as cursor:
        return cursor.execute(_FIND.encode(), values).fetchone()
