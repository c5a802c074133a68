"""Calls of a model as the detection engine is fed with them: numbers and classes by the site's dial plan, in Arrow IPC.

What ingest does to a call that an edge brings (`mediation.ingest`) is done here once, before anything is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import pyarrow as pa
from bench.detection.week import SITES

from ringfence.detection.attacks.call import ModelCall
from ringfence.mediation.ingest.rows import arrow_stream
from ringfence.numbering.classification import NumberFacts, call_type, facts_of
from ringfence.numbering.countries import country_id
from ringfence.numbering.dial_plan import Site
from ringfence.numbering.normalise import normaliser_of
from ringfence.vocabulary import Action, Direction, NumberClass, TrunkSide

# Edges upload within a second; the streams of two are never further apart than this.
SPAN_S = 20
Row = tuple[int, ...]
RING_S = 4.0
_WORDS = ("device_id", "country", "direction", "call_type", "outcome", "trunk_side", "source_class",
          "destination_class")  # fmt: skip
FIELDS = (
    *((name, pa.int64()) for name in ("time_us", "start_us", "source", "destination")),
    ("duration_ms", pa.int32()),
    *((name, pa.int16()) for name in _WORDS),
)
DEVICES = {scene.device: number for number, scene in enumerate(SITES, 1)}
_SITES = {scene.site: Site(scene.site, "US", scene.own_ranges) for scene in SITES}


@dataclass(frozen=True)
class Batch:
    """Events of one dataset up to a moment (microseconds), as one Arrow IPC stream."""

    dataset: str
    last_us: int
    events: int
    stream: bytes


def device_of(call: ModelCall) -> int:
    """Its number; the second edge of a site is none of its own here."""
    return DEVICES[call.device.removesuffix("-b")]


def batches(calls: Sequence[ModelCall], start_us: int) -> list[Batch]:
    """Both datasets in the order in which a mediation gets them: questions at their time, SIP calls when they end."""
    pairs = [_rows(call, start_us) for call in calls]
    found = [
        *_cut("enum", sorted(enum for enum, _ in pairs)),
        *_cut("sip", sorted(sip for _, sip in pairs)),
    ]
    return [batch for _, batch in sorted(found, key=lambda one: (one[0], one[1].dataset))]


def _cut(dataset: str, rows: Sequence[Row]) -> Iterator[tuple[int, Batch]]:
    """Spans of rows that are in the order of their times, each with its number."""
    whole = record_batch(zip(*rows, strict=True))
    first = 0
    for span, part in groupby(rows, lambda row: row[0] // (SPAN_S * 1_000_000)):
        last, events = 0, 0
        for row in part:
            last, events = row[0], events + 1
        yield span, Batch(dataset, last, events, arrow_stream(whole.slice(first, events)))
        first += events


def record_batch(columns: Iterable[Sequence[int]]) -> pa.RecordBatch:
    """Columns of FIELDS as a batch."""
    arrays = [pa.array(column, kind) for column, (_, kind) in zip(columns, FIELDS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in FIELDS])


def _rows(call: ModelCall, start_us: int) -> tuple[Row, Row]:
    at = start_us + int(call.at * 1e6)
    end = at + int((RING_S + call.duration_s) * 1e6)
    duration = int(call.duration_s * 1000) if call.answered else -1
    device = device_of(call)
    # The side of the trunk is what a probe knows and the ENUM server does not.
    seen = TrunkSide.SOURCE if call.is_from_trunk else TrunkSide.DESTINATION
    rows = []
    for time_us, length, outcome, side in (
        (at, -1, Action.ALLOW, TrunkSide.UNKNOWN),
        (end, duration, call.result, seen),
    ):
        read = _read(call.site, call.source, call.destination, side)
        source, source_class, destination, destination_class, direction, kind, country = read
        rows.append((time_us, at, source, destination, length, device, country, direction, kind, outcome, side,
                     source_class, destination_class))  # fmt: skip
    return rows[0], rows[1]


@lru_cache(maxsize=1 << 20)
def _read(site: str, source: str, destination: str, side: TrunkSide) -> tuple[int, ...]:
    plan = normaliser_of(_SITES[site])
    number, number_class, called, called_class, direction = plan.call(f"sip:{source}@192.0.2.10", destination, side)
    kind = call_type(called, NumberClass(called_class), _facts(called), "US")
    far = called if direction == Direction.OUTBOUND else number
    return number, number_class, called, called_class, direction, kind, country_id(_facts(far).country)


def _facts(number: int) -> NumberFacts:
    """As of the range: the last four digits of a North American number, the last three of another say nothing more."""
    tail = 10_000 if str(number).startswith("1") else 1000
    return _facts_of_range(number // tail, tail)


@lru_cache(maxsize=1 << 16)
def _facts_of_range(head: int, tail: int) -> NumberFacts:
    return facts_of(head * tail + tail // 2)
