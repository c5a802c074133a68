"""The record of a run: what was found for each server and site, the verdict, and who signed which text (R24, R25).

record (JSON, grows while the run goes on) ─ signing ─► sealed: its SHA-256 is in each signature; nothing changes it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ringfence.acceptance.plan import Plan, plan_from
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

FORMAT = 1
MAX_TEXT = 4_000
Verdict = Literal["PASS", "FAIL", "OTHER"]
VERDICTS: tuple[Verdict, ...] = ("PASS", "FAIL", "OTHER")
# ACCEPTED: all that is not PASS is OTHER and was agreed in writing. OPEN: something is not, or did not run.
Overall = Literal["PASS", "ACCEPTED", "OPEN", "FAIL"]
SubjectKind = Literal["deployment", "site", "enum", "probe"]
ROLES = ("tester", "witness")


@dataclass(frozen=True)
class Evidence:
    """What shows that a result is so: a table (`columns`, `rows`) or text."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Subject:
    """What a result is about."""

    kind: SubjectKind
    name: str
    site: str = ""


@dataclass(frozen=True)
class Result:
    """One verdict on one subject. `by`: `machine`, or who judged. `agreed`: who agreed to an OTHER, in writing."""

    case: str
    subject: Subject
    verdict: Verdict
    comment: str
    at: str
    by: str = "machine"
    evidence: tuple[Evidence, ...] = ()
    agreed: str = ""


@dataclass(frozen=True)
class Earlier:
    """A run of the same plan before this one: the history of tests again."""

    run: str
    ended_at: str
    verdict: Overall
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Signature:
    """Somebody stands for a record: typed name, the account that typed it, when, and the text's SHA-256."""

    role: str
    name: str
    account: str
    at: str
    digest: str


@dataclass(frozen=True)
class Record:
    """One run. `wait_scale` 1: every wait was real. `cases`: those that were to run, `skipped`: those excluded, why.

    `is_whole` False: it was broken off.
    """

    run: str
    plan: Plan
    mode: Literal["lab", "live"]
    sbc: str
    software: str
    started_at: str
    started_by: str
    wait_scale: float = 1.0
    ended_at: str = ""
    cases: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    results: tuple[Result, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    notes: tuple[str, ...] = ()
    exceptions: str = ""
    tester: str = ""
    witness: str = ""
    is_whole: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain values; `read_record` takes them again."""
        return {"format": FORMAT} | asdict(self) | {"plan": self.plan.as_json()}

    def digest(self) -> str:
        """SHA-256 of the canonical text, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        """The octets that are signed: JSON, keys sorted, no spaces."""
        return json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def verdict(self) -> Overall:
        """By R24: PASS when all is; OTHER must be agreed in writing; FAIL means mend and test again."""
        found = {result.verdict for result in self.results}
        if "FAIL" in found:
            return "FAIL"
        ran = {result.case for result in self.results}
        if not self.ended_at or not self.is_whole or not set(self.cases) <= ran:
            return "OPEN"
        if found == {"PASS"}:
            return "PASS"
        return "ACCEPTED" if all(result.agreed for result in self.results if result.verdict == "OTHER") else "OPEN"

    def failed(self) -> tuple[str, ...]:
        """`CASE subject` of each failure."""
        return tuple(f"{one.case} {one.subject.name}" for one in self.results if one.verdict == "FAIL")

    def count(self, verdict: Verdict) -> int:
        """How many results came out so."""
        return sum(result.verdict == verdict for result in self.results)


@dataclass(frozen=True)
class Change:
    """What a person may change in an unsigned record: a result's verdict or comment, or an agreement to an OTHER."""

    case: str
    subject: str
    verdict: Verdict | None = None
    comment: str | None = None
    agreed: str | None = None


def change_result(record: Record, change: Change, by: str, at: str) -> Record:
    """The record with one result changed, and whose change it was. NotFoundError, InvalidInputError."""
    place = next(
        (n for n, one in enumerate(record.results) if (one.case, one.subject.name) == (change.case, change.subject)),
        None,
    )
    if place is None:
        raise NotFoundError(f"result: {change.case} of {change.subject!r} is not in this record")
    before = record.results[place]
    if change.verdict is not None and change.verdict not in VERDICTS:
        raise InvalidInputError(f"verdict: {change.verdict!r} must be PASS, FAIL or OTHER")
    verdict = change.verdict or before.verdict
    comment = _text("comment", before.comment if change.comment is None else change.comment)
    agreed = _text("agreed", before.agreed if change.agreed is None else change.agreed)
    if agreed and verdict != "OTHER":
        raise InvalidInputError(f"agreed: only an OTHER is agreed to; {change.case} {change.subject} is {verdict}")
    if verdict != "PASS" and not comment:
        raise InvalidInputError(f"comment: is needed, to say why {change.case} {change.subject} is {verdict}")
    after = replace(before, verdict=verdict, comment=comment, agreed=agreed)
    if (verdict, comment) != (before.verdict, before.comment):
        after = replace(after, by=by, at=at)
        told = f"{at}: {by} changed {change.case} {change.subject} from {before.verdict} to {verdict}"
        record = replace(record, notes=(*record.notes, told))
    return replace(record, results=(*record.results[:place], after, *record.results[place + 1 :]))


def sign(record: Record, signatures: Iterable[Signature], signature: Signature) -> tuple[Signature, ...]:
    """All signatures with the new one. ConflictError: it is of another text, or this role has signed already."""
    signatures = tuple(signatures)
    if signature.role not in ROLES:
        raise InvalidInputError(f"role: {signature.role!r} must be {' or '.join(ROLES)}")
    if not signature.name.strip():
        raise InvalidInputError("name: is empty; type the name of the one who signs")
    if not record.ended_at:
        raise ConflictError("the run has not ended: there is nothing to sign yet")
    if signature.digest != record.digest():
        raise ConflictError(
            "the record is not the one that was shown: look at it again, then sign", code="conflict.record"
        )
    if any(signature.role == one.role for one in signatures):
        raise ConflictError(f"the {signature.role} has signed already")
    return (*signatures, signature)


def read_record(tree: dict[str, Any]) -> Record:
    """A record of `as_json`. InvalidInputError: it is none, or of another format."""
    if tree.get("format") != FORMAT:
        raise InvalidInputError(f"record: format {tree.get('format')!r} is not known; expected {FORMAT}")
    try:
        values = {name: value for name, value in tree.items() if name != "format"}
        values["plan"] = plan_from(values["plan"])
        values["results"] = tuple(_result(one) for one in values["results"])
        values["earlier"] = tuple(Earlier(**one | {"failed": tuple(one["failed"])}) for one in values["earlier"])
        values |= {name: tuple(values[name]) for name in ("cases", "notes")}
        values["skipped"] = tuple((case, reason) for case, reason in values["skipped"])
        return Record(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"record: {error}") from None


@dataclass(frozen=True)
class Difference:
    """One result that came out otherwise than in another run; None: it was not in it."""

    case: str
    subject: str
    before: str | None
    after: str | None


def compare(before: Record, after: Record) -> tuple[Difference, ...]:
    """Results that differ, in the order of the later run."""
    old = {(one.case, one.subject.name): one.verdict for one in before.results}
    new = {(one.case, one.subject.name): one.verdict for one in after.results}
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(
        Difference(case, subject, old.get((case, subject)), new.get((case, subject)))
        for case, subject in keys
        if old.get((case, subject)) != new.get((case, subject))
    )


def _result(tree: dict[str, Any]) -> Result:
    evidence = tuple(
        Evidence(one["title"], tuple(one["columns"]), tuple(tuple(row) for row in one["rows"]), one["text"])
        for one in tree["evidence"]
    )
    if tree["verdict"] not in VERDICTS:
        raise ValueError(f"{tree['verdict']!r} is no verdict")
    return Result(**tree | {"subject": Subject(**tree["subject"]), "evidence": evidence})


def _text(name: str, value: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidInputError(f"{name}: has {len(value):,} characters; expected at most {MAX_TEXT:,}")
    return value.strip()
