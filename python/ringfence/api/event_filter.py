"""The filters of calls as query parameters: one set for views, call log and exports."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from ringfence.analytics.asking import parse_filter
from ringfence.analytics.filters import EventFilter

_Word = Annotated[str | None, Query(max_length=32)]
_Name = Annotated[str | None, Query(max_length=64)]
_Number = Annotated[
    str | None, Query(max_length=256, description="E.164, a pattern such as +1900*, or text that is no number")
]


def _filter(
    site: _Name = None,
    direction: _Word = None,
    action: _Word = None,
    result: Annotated[str | None, Query(max_length=32, description="dataset sip: how the call came out")] = None,
    call_type: _Word = None,
    country: Annotated[str | None, Query(max_length=3, description="of the far party: ISO 3166, or 001")] = None,
    number: _Number = None,
    source: _Number = None,
    destination: _Number = None,
    rule: Annotated[str | None, Query(max_length=256)] = None,
    code: Annotated[
        str | None, Query(max_length=3, description="RCODE of the answer, final status of the call")
    ] = None,
    released_by: _Word = None,
    attestation: _Word = None,
    codec: _Word = None,
) -> EventFilter:
    return parse_filter(
        {
            "site": site, "direction": direction, "action": action, "result": result, "call_type": call_type,
            "country": country, "number": number, "source": source, "destination": destination, "rule": rule,
            "code": code, "released_by": released_by, "attestation": attestation, "codec": codec,
        }
    )  # fmt: skip


WantedEvents = Annotated[EventFilter, Depends(_filter)]
