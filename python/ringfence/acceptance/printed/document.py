"""What the printed record says, as plain texts in the order of the pages. Pure; PDF and HTML only lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ringfence.acceptance.cases import ALL
from ringfence.acceptance.plan import Plan
from ringfence.acceptance.record import ROLES, Evidence, Record, Result, Signature

_MAX_ROWS = 12
_MAX_TEXT = 1_500
_KINDS = {"deployment": "Deployment", "site": "Site", "enum": "ENUM server", "probe": "Probe"}
_ORDER = ("deployment", "site", "enum", "probe")
VERDICT_WORDS = {
    "PASS": "All results are PASS.",
    "ACCEPTED": "All results are PASS, or OTHER and agreed in writing.",
    "OPEN": "Not decided: cases are left to run, or an OTHER is not agreed to in writing yet.",
    "FAIL": "At least one result is FAIL: it is to be mended and tested again.",
}


def build_document(record: Record, signatures: Sequence[Signature], printed_at: datetime) -> dict[str, Any]:
    """Everything that is printed; JSON can carry it."""
    plan = record.plan
    verdict = record.verdict()
    evidence: list[dict[str, Any]] = []
    return {
        "title": plan.title,
        "customer": plan.customer,
        "verdict": verdict,
        "verdict_words": VERDICT_WORDS[verdict],
        "facts": [[name, value] for name, value in _facts(record) if value],
        "counts": [[word, record.count(word)] for word in ("PASS", "FAIL", "OTHER")],
        "plan": _plan(plan),
        "cases": [_case(case, record) for case in ALL if case.id in record.cases or case.id in dict(record.skipped)],
        "forms": _forms(record, evidence),
        "evidence": evidence,
        "exceptions": record.exceptions or "None.",
        "notes": list(record.notes),
        "earlier": [
            [one.run, moment(one.ended_at), one.verdict, ", ".join(one.failed) or "–"] for one in record.earlier
        ],
        "signatures": [[one.role, one.name, one.account, moment(one.at), one.digest] for one in signatures],
        "unsigned": [role for role in ("tester", "witness") if role not in {one.role for one in signatures}],
        "signers": _signers(record, signatures),
        "run": record.run,
        "digest": record.digest(),
        "printed_at": f"{printed_at:%Y-%m-%d %H:%M} UTC",
        "tested_on": moment(record.started_at)[:10],
    }


def moment(text: str) -> str:
    """An ISO time for people: to the minute, UTC."""
    return f"{text[:16].replace('T', ' ')} UTC" if text else "–"


def _facts(record: Record) -> list[tuple[str, str]]:
    plan = record.plan
    scale = record.wait_scale
    return [
        ("Customer", plan.customer),
        ("Reference", plan.reference),
        ("Plan prepared", f"{plan.prepared_by} {plan.prepared_on or ''}".strip()),
        ("Run", record.run),
        ("Tested", f"{moment(record.started_at)} to {moment(record.ended_at)}"),
        ("Mode", "lab: everything on one machine" if record.mode == "lab" else "live: against the deployment"),
        ("SBC", record.sbc),
        ("Waits", "real" if scale == 1 else f"SCALED by {scale:g}: waits were shorter than the plan says"),
        ("Started by", record.started_by),
        ("Tester", record.tester),
        ("Witness", record.witness),
        ("Software", f"Ringfence {record.software}"),
    ]


def _signers(record: Record, signatures: Sequence[Signature]) -> list[list[str]]:
    """(role, name and state) below each form: the signatures stand for all of them."""
    signed = {one.role: f"{one.name}, signed {moment(one.at)[:10]}" for one in signatures}
    named = {"tester": record.tester, "witness": record.witness}
    return [[role.capitalize(), signed.get(role, f"{named[role] or '–'}, not signed")] for role in ROLES]


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "locations": [
            {
                "site": one.site,
                "address": one.address,
                "contact": one.contact,
                "sbc": f"{one.sbc.name} ({one.sbc.preset}{', ' + one.sbc.address if one.sbc.address else ''})",
                "machines": [["ENUM server", server.name, server.address] for server in one.enum_servers]
                + [["Probe", probe.name, probe.interface or "–"] for probe in one.probes],
            }
            for one in plan.locations
        ],
        "management": [["Active mediation and database", plan.management.active or "–"],
                       ["Standby pair", plan.management.standby or "none"]],
        "people": [[one.role, one.name or "–", one.company or "–", one.contact or "–", one.duties or "–"]
                   for one in plan.people],
        "schedule": [[one.what, str(one.day or "–"), one.hours or "–", one.who or "–"] for one in plan.schedule],
        "scope": list(plan.scope),
        "out_of_scope": list(plan.out_of_scope),
        "numbers": [[name.capitalize(), number] for name, number in plan.numbers.model_dump().items()],
        "waits": f"{plan.waits.running_min:g} minutes of running, {plan.waits.log_min:g} minutes of logs",
    }  # fmt: skip


def _case(case: Any, record: Record) -> dict[str, Any]:
    found = [one.verdict for one in record.results if one.case == case.id]
    return {
        "id": case.id,
        "title": case.title,
        "purpose": case.purpose,
        "procedure": list(case.procedure),
        "expected": case.expected,
        "skipped": dict(record.skipped).get(case.id, ""),
        "results": [[word, found.count(word)] for word in ("PASS", "FAIL", "OTHER") if word in found],
    }


def _forms(record: Record, evidence: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A form for each subject; evidence gets its number in the order of the forms."""
    titles = {case.id: case.title for case in ALL}
    subjects = sorted(
        dict.fromkeys(one.subject for one in record.results), key=lambda one: (_ORDER.index(one.kind), one.site)
    )
    forms = []
    for subject in subjects:
        rows = []
        for result in (one for one in record.results if one.subject == subject):
            numbers = _collect(result, evidence)
            rows.append(
                {
                    "case": result.case,
                    "title": titles.get(result.case, ""),
                    "verdict": result.verdict,
                    "comment": result.comment,
                    "agreed": result.agreed,
                    "at": moment(result.at).removesuffix(" UTC"),
                    "by": result.by,
                    "evidence": numbers,
                }
            )
        forms.append({"kind": _KINDS[subject.kind], "name": subject.name, "site": subject.site, "rows": rows})
    return forms


def _collect(result: Result, evidence: list[dict[str, Any]]) -> str:
    numbers = []
    for one in result.evidence:
        if not (one.rows or one.text):
            continue
        evidence.append(_evidence(one, result, len(evidence) + 1))
        numbers.append(f"E{len(evidence)}")
    return ", ".join(numbers)


def _evidence(one: Evidence, result: Result, number: int) -> dict[str, Any]:
    more = f" (first {_MAX_ROWS} of {len(one.rows)})" if len(one.rows) > _MAX_ROWS else ""
    return {
        "number": f"E{number}",
        "title": f"{result.case}, {result.subject.name}: {one.title}{more}",
        "columns": list(one.columns),
        "rows": [[_cell(value) for value in row] for row in one.rows[:_MAX_ROWS]],
        "text": one.text[:_MAX_TEXT],
    }


def _cell(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    # A time in microseconds says no more than one in milliseconds.
    return text[:23].replace("T", " ") if len(text) > 25 and text[10:11] == "T" and text[4:5] == "-" else text
