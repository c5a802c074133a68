"""Hits of list entries: how often, and when last, calls that a rule decided by a list were under each entry of it.

    versions ─► the list and its rules in each ─► recorded calls of those rules ─► EntryHits (Rust) ─► entries

An event says which rule decided, not which entry of which list; that is found here, from the entries that the deciding
version had. So the edge pays nothing for it, and what is answered is exact for the calls that are kept. A call counts
when its rule names the list, enforced or monitored, and its number on that side is under the entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from ringfence._native import EntryHits
from ringfence.analytics.recorded import (
    RecordingDevice,
    check_period,
    hours_with_calls,
    read_calls,
    recording_devices,
)
from ringfence.database.columnar import columnar_reader
from ringfence.database.connection import Database
from ringfence.database.sight import require_all_sites, require_full_numbers
from ringfence.mediation.jobs import Progress
from ringfence.policy import dynamic, versions
from ringfence.policy.naming import NamedList, list_in_versions

KIND = "entry_hits"  # of the job
ALWAYS_US = -(2**63)
MAX_VERSIONS = 1000
compute: Any = pc


@dataclass(frozen=True)
class EntryHitsRequest:
    """A list, found in the versions that have it."""

    name: str
    start: datetime
    end: datetime
    lists: tuple[NamedList, ...]  # newest version first
    current: NamedList  # whose entries are reported
    dynamic_entries: tuple[dynamic.Entry, ...]
    devices: list[RecordingDevice]


def prepare(connection: Connection, name: str, start: datetime, end: datetime, now: datetime) -> EntryHitsRequest:
    """Find the list. NotFoundError, InvalidInputError, ForbiddenError."""
    require_full_numbers("counting the hits of entries")
    require_all_sites("counting the hits of entries")
    check_period(start, end)
    known = [version.version for version in versions.list_versions(connection, MAX_VERSIONS)]
    lists = list_in_versions(connection, name, known)
    installed = versions.installed_everywhere(connection).version
    current = next((one for one in lists if one.version == installed), lists[0])
    entries = dynamic.acting_entries(connection, name, now) if current.is_dynamic else []
    devices = recording_devices(connection, None, None)
    return EntryHitsRequest(name, start, end, tuple(lists), current, tuple(entries), devices)


def count(
    database: Database, request: EntryHitsRequest, progress: Progress, *, unused: bool = False, limit: int = 1000
) -> dict[str, Any]:
    """Count and report (docs/contracts.md 8). Raises `jobs.Cancelled` when the job was."""
    with database.connection() as connection:
        hours = hours_with_calls(connection, request.devices, request.start, request.end)
    progress.at(0, sum(hour.calls for hour in hours), "reading calls")
    counters = _Counters(request)
    done = 0
    with columnar_reader(database.url) as reader:
        for hour in hours:
            only = _of_rules(counters.rules)
            for calls in read_calls(database, reader, request.devices, hour, in_order=False, only=only):
                counters.add(calls)
                progress.at(done)
            done += hour.calls
            progress.at(done)
    return _report(request, counters, unused, limit)


class _Counters:
    """One counter for each content that the list had: versions with the same entries share it."""

    def __init__(self, request: EntryHitsRequest) -> None:
        self._by_content: dict[tuple[str, ...], EntryHits] = {}
        self._by_version: dict[int, tuple[NamedList, EntryHits]] = {}
        for one in request.lists:
            counter = self._by_content.get(one.entries)
            if counter is None:
                counter = EntryHits([(pattern, ALWAYS_US) for pattern in one.entries])
                self._by_content[one.entries] = counter
            self._by_version[one.version] = (one, counter)
        added = [(entry.pattern, _us(entry.added_at)) for entry in request.dynamic_entries]
        self._dynamic = EntryHits(added) if added else None
        self.rules = sorted({rule for one in request.lists for rule in (*one.sources, *one.destinations)})
        self.calls = 0

    def add(self, calls: pa.RecordBatch) -> None:
        """Count the calls of rules that name the list."""
        self.calls += calls.num_rows
        version_of = calls.column("policy_version")
        for version in compute.unique(version_of).to_pylist():
            if version in self._by_version:
                one, counter = self._by_version[version]
                of_version = calls.filter(compute.equal(version_of, version))
                for side, rules in (("source", one.sources), ("destination", one.destinations)):
                    stream = _numbers(of_version, side, rules)
                    counter.add(stream)
                    if one.is_dynamic and self._dynamic is not None:
                        self._dynamic.add(stream)

    def of_policy(self) -> dict[str, tuple[int, int]]:
        """pattern → (hits, last) over all versions."""
        found: dict[str, tuple[int, int]] = {}
        for entries, counter in self._by_content.items():
            for place, hits, last_us in counter.result():
                before = found.get(entries[place], (0, last_us))
                found[entries[place]] = (before[0] + hits, max(before[1], last_us))
        return found

    def of_dynamic(self) -> dict[int, tuple[int, int]]:
        """Place among the dynamic entries → (hits, last)."""
        return {place: (hits, last) for place, hits, last in self._dynamic.result()} if self._dynamic else {}


def _of_rules(rules: list[int]) -> sql.Composable:
    wanted = sql.SQL(", ").join(map(sql.Literal, rules))
    return sql.SQL("(rule_id = ANY(ARRAY[{0}]::integer[]) OR monitored && ARRAY[{0}]::integer[])").format(wanted)


def _numbers(calls: pa.RecordBatch, side: str, rules: Iterable[int]) -> bytes:
    """Number and time of the calls that one of the rules matched, as an Arrow IPC stream."""
    ids = pa.array(list(rules), pa.int32())
    decided = compute.indices_nonzero(compute.is_in(calls.column("rule_id"), value_set=ids)).cast(pa.int64())
    lists = calls.column("monitored")
    watched = compute.list_parent_indices(lists).filter(compute.is_in(compute.list_flatten(lists), value_set=ids))
    places = compute.unique(pa.chunked_array([decided, watched.cast(pa.int64())]))
    batch = pa.record_batch({"number": calls.column(side).take(places), "time": calls.column("time").take(places)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _report(request: EntryHitsRequest, counters: _Counters, unused: bool, limit: int) -> dict[str, Any]:
    counted = counters.of_policy()
    entries = [_entry(pattern, "policy", counted.get(pattern), None) for pattern in request.current.entries]
    of_dynamic = counters.of_dynamic()
    entries += [
        _entry(entry.pattern, "dynamic", of_dynamic.get(place), entry)
        for place, entry in enumerate(request.dynamic_entries)
    ]
    with_hits = sum(entry["hits"] > 0 for entry in entries)
    if unused:
        shown = [entry for entry in entries if not entry["hits"]]
    else:
        shown = sorted(entries, key=lambda entry: -int(entry["hits"]))
    return {
        "list": request.name,
        "version": request.current.version,
        "period": {"start": request.start.isoformat(), "end": request.end.isoformat()},
        "calls": counters.calls,
        "entries_total": len(entries),
        "entries_with_hits": with_hits,
        "entries_unused": len(entries) - with_hits,
        "entries": shown[:limit],
    }


def _entry(pattern: str, kind: str, counted: tuple[int, int] | None, entry: dynamic.Entry | None) -> dict[str, Any]:
    hits, last_us = counted or (0, None)
    return {
        "pattern": pattern,
        "kind": kind,
        "hits": hits,
        "last_at": None if last_us is None else datetime.fromtimestamp(last_us / 1e6, UTC).isoformat(),
        "note": entry.note if entry else None,
        "origin": entry.origin if entry else None,
        "expires_at": entry.as_json()["expires_at"] if entry else None,
    }


def _us(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
