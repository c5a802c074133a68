"""Single calls of dataset SIP: what a probe saw of a call, as people read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ringfence.analytics.cursor import Cursor, call_name
from ringfence.analytics.words import number_text
from ringfence.vocabulary import (
    Attestation,
    CallFlag,
    CallResult,
    CallSide,
    Dataset,
    Direction,
    NumberClass,
    Transport,
    TrunkSide,
)

# Names are looked up for the page's rows only. {rows} and {order} are constant text of `calls`.
SIP_PAGE = """
SELECT page.*, device.name AS device
FROM ({rows}) AS page
LEFT JOIN device USING (device_id)
ORDER BY {order}
"""


@dataclass(frozen=True)
class Media:
    """Audio of one direction; all None when no packet of it was seen."""

    packets: int | None
    lost: int | None
    jitter_ms: float | None
    mos: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON; empty when no packet was seen."""
        if self.packets is None:
            return {}
        return {"packets": self.packets, "lost": self.lost, "jitter_ms": self.jitter_ms, "mos": self.mos}


@dataclass(frozen=True)
class SipCall:
    """One SIP call: words, E.164 with plus or the raw text; times in milliseconds, None for what did not happen."""

    time: datetime
    device: str
    source: str
    destination: str
    direction: str
    result: str
    status: int
    released_by: str
    pdd_ms: int | None
    answer_ms: int | None
    duration_ms: int | None
    total_ms: int
    forward: Media
    backward: Media
    codec: str | None
    probe_lost: int
    attestation: str
    cause_q850: int | None
    flags: tuple[str, ...]
    source_peer: str
    destination_peer: str
    transport: str
    trunk: str
    call_id: str
    correlation: str
    user_agent: str | None
    details: Mapping[str, Any]
    stream: int
    sequence: int
    reported_time: datetime | None
    source_class: str
    destination_class: str
    dataset: str = Dataset.SIP.word

    @property
    def cursor(self) -> Cursor:
        """Where the page after this call begins."""
        return Cursor(self.time, self.stream, self.sequence)

    @property
    def id(self) -> str:
        """Names the call for good, in addresses and in the API."""
        return call_name(Dataset.SIP, self.cursor)

    @property
    def mos(self) -> float | None:
        """Of the worse direction: what one of the two complained of."""
        heard = [media.mos for media in (self.forward, self.backward) if media.mos is not None]
        return min(heard, default=None)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON; `reported_time` only where the device's clock could not be believed."""
        values: dict[str, Any] = {
            "id": self.id,
            "time": self.time.isoformat(timespec="microseconds"),
            "dataset": self.dataset,
            "device": self.device,
            "source": None if self.source_class == NumberClass.ABSENT.word else self.source,
            "destination": self.destination,
            "direction": self.direction,
            "result": self.result,
            "status": self.status,
            "released_by": self.released_by,
            "pdd_ms": self.pdd_ms,
            "answer_ms": self.answer_ms,
            "duration_ms": self.duration_ms,
            "total_ms": self.total_ms,
            "mos": self.mos,
            "media": {"forward": self.forward.as_json(), "backward": self.backward.as_json()},
            "codec": self.codec,
            "probe_lost": self.probe_lost,
            "attestation": self.attestation,
            "cause_q850": self.cause_q850,
            "flags": list(self.flags),
            "source_class": self.source_class,
            "destination_class": self.destination_class,
            "source_peer": self.source_peer,
            "destination_peer": self.destination_peer,
            "transport": self.transport,
            "trunk": self.trunk,
            "call_id": self.call_id,
            "correlation": self.correlation,
            "user_agent": self.user_agent,
            "details": dict(self.details),
            "stream": self.stream,
            "sequence": self.sequence,
        }
        if self.reported_time is not None:
            values["reported_time"] = self.reported_time.isoformat(timespec="microseconds")
        return values


def sip_call(row: dict[str, Any]) -> SipCall:
    """A row of SIP_PAGE as people read it."""
    return SipCall(
        time=row["time"].astimezone(UTC),
        device=row["device"] or f"#{row['device_id']}",
        source=number_text(row["source"], row["source_raw"], row["source_class"]),
        destination=number_text(row["destination"], row["destination_raw"], row["destination_class"]),
        direction=Direction.word_of(row["direction"]),
        result=CallResult.word_of(row["result"]),
        status=row["status"],
        released_by=CallSide.word_of(row["released_by"]),
        pdd_ms=row["pdd_ms"],
        answer_ms=row["answer_ms"],
        duration_ms=row["duration_ms"],
        total_ms=row["total_ms"],
        forward=_media(row, "forward"),
        backward=_media(row, "backward"),
        codec=row["codec"],
        probe_lost=row["probe_lost"],
        attestation=Attestation.word_of(row["attestation"]),
        cause_q850=row["cause_q850"],
        flags=CallFlag.words_of(row["flags"]),
        source_peer=_peer(row, "source"),
        destination_peer=_peer(row, "destination"),
        transport=Transport.word_of(row["transport"]),
        trunk=TrunkSide.word_of(row["side"]),
        call_id=row["call_id"] or "",
        correlation=f"{row['correlation'] & (1 << 64) - 1:016x}",
        user_agent=row["user_agent"],
        details=_details(row["details"]),
        stream=row["stream_id"],
        sequence=row["sequence"],
        reported_time=row["reported_time"] and row["reported_time"].astimezone(UTC),
        source_class=NumberClass.word_of(row["source_class"]),
        destination_class=NumberClass.word_of(row["destination_class"]),
    )


def _media(row: dict[str, Any], side: str) -> Media:
    jitter_us, mos_100 = row[f"{side}_jitter_us"], row[f"{side}_mos_100"]
    return Media(
        packets=row[f"{side}_packets"],
        lost=row[f"{side}_lost"],
        jitter_ms=None if jitter_us is None else jitter_us / 1000,
        mos=None if mos_100 is None else mos_100 / 100,
    )


def _peer(row: dict[str, Any], side: str) -> str:
    address, port = row[f"{side}_address"], row[f"{side}_port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _details(text: str | None) -> dict[str, Any]:
    """What the probe wrote; a newer or faulty probe's text is no reason to hide the call."""
    try:
        details = json.loads(text or "{}")
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}
