"""One call with what belongs to it: the decisions about it, all its legs, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from ringfence.analytics.calls import AnyCall, Call, read_calls
from ringfence.analytics.cursor import parse_call_name
from ringfence.analytics.enforcement.matching import LEG_SPREAD
from ringfence.analytics.enforcement.question import EnforcementQuery, Window
from ringfence.analytics.enforcement.report import ProvenCall, prove
from ringfence.errors import NotFoundError

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class CallPage:
    """A query or a call, and the whole call that it is part of, as far as a probe saw it."""

    call: AnyCall
    proof: ProvenCall | None

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"call": self.call.as_json(), "proof": self.proof.as_json() if self.proof else None}


def read_call_page(connection: psycopg.Connection, name: str) -> CallPage:
    """The call of an `id`. InvalidInputError: it names none; NotFoundError: never was, or is kept no more."""
    dataset, cursor = parse_call_name(name)
    found = read_calls(connection, dataset, [(cursor.time, cursor.stream, cursor.sequence)])
    if not found:
        raise NotFoundError(f"call {name} is not recorded, or is kept no more")
    return CallPage(found[0], find_proof(connection, found[0]))


def find_proof(connection: psycopg.Connection, call: AnyCall) -> ProvenCall | None:
    """The whole call that a query was about, or that a leg belongs to; None when no probe saw it."""
    window = Window()
    if isinstance(call, Call):
        query = EnforcementQuery(
            call.time - window.after, call.time + window.before + _INSTANT, decision=(call.stream, call.sequence)
        )
    else:
        bits = int(call.correlation, 16)
        correlation = bits - (1 << 64) if bits >= 1 << 63 else bits
        # Legs follow each other within LEG_SPREAD; a call of more than two steps of it is a strange one.
        query = EnforcementQuery(call.time - 3 * LEG_SPREAD, call.time + _INSTANT, correlation=correlation)
    calls = prove(connection, query).calls
    if isinstance(call, Call):
        return calls[0] if calls else None
    return next((one for one in calls if any(leg.id == call.id for leg in one.legs)), None)
