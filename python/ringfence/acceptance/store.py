"""Where plan and records are kept. A record that somebody has signed is sealed: only signatures are added to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.acceptance.plan import Plan, plan_from
from ringfence.acceptance.record import (
    Change,
    Earlier,
    Record,
    Signature,
    change_result,
    read_record,
    sign,
)
from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

MAX_EXCEPTIONS = 10_000
_HISTORY = 20


@dataclass(frozen=True)
class KeptRun:
    """A record and who has signed it."""

    record: Record
    signatures: tuple[Signature, ...]

    @property
    def is_sealed(self) -> bool:
        """Whether nothing of it changes any more."""
        return bool(self.signatures)

    def as_json(self) -> dict[str, Any]:
        """Record, verdict, digest and signatures."""
        return {
            "run": self.record.run,
            "verdict": self.record.verdict(),
            "failed": list(self.record.failed()),
            "digest": self.record.digest(),
            "record": self.record.as_json(),
            "signatures": [asdict(one) for one in self.signatures],
            "is_sealed": self.is_sealed,
        }


def read_plan(connection: Connection) -> tuple[Plan, datetime, str] | None:
    """(plan, when, by whom it was changed last); None while there is none."""
    row = connection.execute("SELECT plan, changed_at, changed_by FROM fst_plan").fetchone()
    return (plan_from(row[0]), row[1], row[2]) if row else None


def save_plan(connection: Connection, plan: Plan, actor: str, now: datetime) -> None:
    """Keep the deployment's plan; the one before goes into the audit trail."""
    before = read_plan(connection)
    connection.execute(
        """
        INSERT INTO fst_plan (plan, changed_at, changed_by) VALUES (%(plan)s, %(now)s, %(actor)s)
        ON CONFLICT (singleton) DO UPDATE SET plan = %(plan)s, changed_at = %(now)s, changed_by = %(actor)s
        """,
        {"plan": Jsonb(plan.as_json()), "now": now, "actor": actor},
    )
    audit.record(connection, actor, "fst.plan", plan.title, {"before": before[0].as_json() if before else None})


def save_record(connection: Connection, record: Record) -> None:
    """Keep the record of a run so far. ConflictError: it is signed."""
    kept = connection.execute(
        """
        INSERT INTO fst_run (run_id, started_at, started_by, mode, verdict, record)
        VALUES (%(run)s, %(started)s, %(by)s, %(mode)s, %(verdict)s, %(record)s)
        ON CONFLICT (run_id) DO UPDATE SET verdict = %(verdict)s, record = %(record)s
        WHERE fst_run.signatures = '[]'
        """,
        {
            "run": record.run,
            "started": datetime.fromisoformat(record.started_at),
            "by": record.started_by,
            "mode": record.mode,
            "verdict": record.verdict(),
            "record": Jsonb(record.as_json()),
        },
    )
    if kept.rowcount == 0:
        raise ConflictError(f"run {record.run} is signed: its record does not change any more", code="conflict.sealed")


def add_record(connection: Connection, record: Record, actor: str) -> KeptRun:
    """Keep a record that was made elsewhere (`ringfence fst run`). ConflictError: the run is known already."""
    known = connection.execute("SELECT 1 FROM fst_run WHERE run_id = %s", (record.run,)).fetchone()
    if known:
        raise ConflictError(f"run {record.run} is kept already")
    if not record.ended_at:
        raise InvalidInputError("record: the run has not ended")
    save_record(connection, record)
    audit.record(connection, actor, "fst.add", record.run, {"verdict": record.verdict(), "digest": record.digest()})
    return read_run(connection, record.run)


def list_runs(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """The newest runs, newest first, without their results."""
    rows = connection.execute(
        """
        SELECT run_id, started_at, started_by, mode, verdict, record->>'ended_at', record->'plan'->>'title',
               (record->>'wait_scale')::float, jsonb_array_length(record->'results'),
               jsonb_array_length(signatures)
        FROM fst_run ORDER BY started_at DESC, run_id LIMIT %s
        """,
        (limit,),
    ).fetchall()
    names = ("run", "started_at", "started_by", "mode", "verdict", "ended_at", "title", "wait_scale", "results",
             "signatures")  # fmt: skip
    return [dict(zip(names, row, strict=True)) | {"started_at": row[1].isoformat()} for row in rows]


def read_run(connection: Connection, run: str) -> KeptRun:
    """One run. NotFoundError."""
    row = connection.execute("SELECT record, signatures FROM fst_run WHERE run_id = %s", (run,)).fetchone()
    if row is None:
        raise NotFoundError(f"run {run!r} does not exist; `ringfence fst list` shows those that do")
    return KeptRun(read_record(row[0]), tuple(Signature(**one) for one in row[1]))


def earlier_runs(connection: Connection, plan: Plan, mode: str) -> tuple[Earlier, ...]:
    """The runs of the same title and mode before, oldest first: the history of tests again."""
    rows = connection.execute(
        """
        SELECT record FROM fst_run WHERE record->'plan'->>'title' = %s AND mode = %s AND record->>'ended_at' <> ''
        ORDER BY started_at DESC LIMIT %s
        """,
        (plan.title, mode, _HISTORY),
    ).fetchall()
    records = [read_record(row[0]) for row in reversed(rows)]
    return tuple(Earlier(one.run, one.ended_at, one.verdict(), one.failed()) for one in records)


def change(connection: Connection, run: str, wanted: Change, actor: str, now: datetime) -> KeptRun:
    """Change a result of a run that ended and nobody signed. ConflictError, NotFoundError, InvalidInputError."""
    record = _unsealed(connection, run)
    changed = change_result(record, wanted, actor, now.isoformat(timespec="seconds"))
    save_record(connection, changed)
    audit.record(connection, actor, "fst.result", run, {name: value for name, value in asdict(wanted).items() if value})
    return read_run(connection, run)


def describe(
    connection: Connection, run: str, actor: str, exceptions: str | None, tester: str | None, witness: str | None
) -> KeptRun:
    """Overall exceptions and comments, and who tests and witnesses; None leaves it."""
    record = _unsealed(connection, run)
    named = {"exceptions": exceptions, "tester": tester, "witness": witness}
    given = {name: value.strip() for name, value in named.items() if value is not None}
    if len(given.get("exceptions", "")) > MAX_EXCEPTIONS:
        raise InvalidInputError(f"exceptions: more than {MAX_EXCEPTIONS:,} characters")
    described = replace(
        record,
        exceptions=given.get("exceptions", record.exceptions),
        tester=given.get("tester", record.tester),
        witness=given.get("witness", record.witness),
    )
    save_record(connection, described)
    audit.record(connection, actor, "fst.describe", run, given)
    return read_run(connection, run)


def add_signature(connection: Connection, run: str, signature: Signature) -> KeptRun:
    """Sign a record. ConflictError: it changed since it was looked at, or this role has signed."""
    connection.execute("SELECT 1 FROM fst_run WHERE run_id = %s FOR UPDATE", (run,))
    kept = read_run(connection, run)
    signatures = sign(kept.record, kept.signatures, signature)
    connection.execute(
        "UPDATE fst_run SET signatures = %s WHERE run_id = %s", (Jsonb([asdict(one) for one in signatures]), run)
    )
    audit.record(connection, signature.account, "fst.sign", run, asdict(signature))
    return read_run(connection, run)


def _unsealed(connection: Connection, run: str) -> Record:
    connection.execute("SELECT 1 FROM fst_run WHERE run_id = %s FOR UPDATE", (run,))
    kept = read_run(connection, run)
    if kept.is_sealed:
        raise ConflictError(f"run {run} is signed: its record does not change any more", code="conflict.sealed")
    if not kept.record.ended_at:
        raise ConflictError(f"run {run} goes on: its record can be changed when it has ended")
    return kept.record
