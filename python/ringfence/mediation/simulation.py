"""Simulation: recorded calls of a period, decided again by a policy that does not act (yet), and what would change.

    request ─► candidate, baseline ─► recorded calls, hour by hour ─► Replay (Rust) ─► Difference ─► report

The baseline is what was really decided, or another version's decisions on the same calls. Runs as a job: `start`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from ringfence._native import DynamicEntries, Replay
from ringfence._native import Policy as CompiledPolicy
from ringfence.analytics.recorded import (
    RecordingDevice,
    check_period,
    hours_with_calls,
    read_calls,
    recording_devices,
)
from ringfence.analytics.words import number_text
from ringfence.database.columnar import columnar_reader
from ringfence.database.connection import Database
from ringfence.database.sight import require_all_sites, require_full_numbers
from ringfence.mediation.jobs import Progress
from ringfence.mediation.sites import all_sites
from ringfence.policy import drafts, dynamic, engines
from ringfence.policy.difference import KINDS, Difference
from ringfence.policy.documents import Place
from ringfence.policy.engines import Candidate
from ringfence.policy.rules import Policy
from ringfence.vocabulary import Action, Direction

KIND = "simulate"  # of the job
BUCKETS_S = (60, 300, 900, 3600, 6 * 3600, 86_400)
MOST_BUCKETS = 200
_DECIDED_BY = (
    "time", "device_id", "source", "destination", "source_class", "destination_class", "direction", "destination_raw",
)  # fmt: skip
compute: Any = pc


@dataclass(frozen=True)
class SimulationRequest:
    """Which policy, over which calls. Exactly one of `version`, `policy`, `draft`; none: what is installed."""

    start: datetime
    end: datetime
    version: int | None = None
    policy: Policy | None = None
    draft: bool = False
    against: str = "recorded"  # recorded, installed, or a version's number
    site: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Simulation:
    """A request with all that it names found."""

    request: SimulationRequest
    candidate: Candidate
    baseline: Candidate | None  # None: what was decided
    devices: list[RecordingDevice]
    entries: DynamicEntries
    rule_names: dict[int, str]


def prepare(connection: Connection, request: SimulationRequest, now: datetime) -> Simulation:
    """Find and compile what is asked for, so that a mistake is told at once. InvalidInputError, NotFoundError."""
    require_full_numbers("a simulation")
    require_all_sites("a simulation")
    check_period(request.start, request.end)
    devices = recording_devices(connection, request.site, request.device)
    sites = {site.name: site for site in all_sites(connection)}
    # Without devices there are no calls, but a policy that does not compile is told all the same.
    places = [Place(sites[device.site], device.name) for device in devices] or [Place(next(iter(sites.values())))]
    candidate = _candidate(connection, request, places)
    baseline = _baseline(connection, request.against, places)
    names = engines.rule_names(connection) | {rule.rule_id: rule.name for rule in candidate.rules}
    return Simulation(request, candidate, baseline, devices, dynamic.compile_entries(connection, now), names)


def simulate(database: Database, simulation: Simulation, progress: Progress) -> dict[str, Any]:
    """Replay and report (docs/contracts.md 8). Raises `jobs.Cancelled` when the job was."""
    request, devices = simulation.request, simulation.devices
    begun = time.monotonic()
    with database.connection() as connection:
        hours = hours_with_calls(connection, devices, request.start, request.end)
    counted = sum(hour.calls for hour in hours)
    progress.at(0, counted, "replaying calls")
    after = Replays(simulation.candidate, devices, simulation.entries)
    before = Replays(simulation.baseline, devices, simulation.entries) if simulation.baseline else None
    in_order = after.needs_order or (before is not None and before.needs_order)
    difference = Difference(bucket_s(request.start, request.end) * 1_000_000)
    missing: list[dict[str, Any]] = []
    with columnar_reader(database.url) as reader:
        for hour in hours:
            found = difference.calls
            for calls in read_calls(database, reader, devices, hour, in_order=in_order):
                difference.add(calls, before.decide(calls) if before else calls, after.decide(calls))
                progress.at(difference.calls)
            found = difference.calls - found
            if found < hour.calls and (hour.end - hour.start).total_seconds() >= 3600:
                missing.append({"hour": hour.start.isoformat(), "counted": hour.calls, "recorded": found})
    took_s = time.monotonic() - begun
    return _report(simulation, difference, missing, in_order) | {"took_s": round(took_s, 3)}


def bucket_s(start: datetime, end: datetime) -> int:
    """Length of a bucket of the chart: the shortest with not too many of them."""
    span = (end - start).total_seconds()
    return next((length for length in BUCKETS_S if span / length <= MOST_BUCKETS), BUCKETS_S[-1])


class Replays:
    """A candidate's decisions on batches of calls: each device by the engine of its place."""

    def __init__(self, candidate: Candidate, devices: Sequence[RecordingDevice], entries: DynamicEntries) -> None:
        engine_devices: dict[int, list[int]] = defaultdict(list)
        compiled: dict[int, CompiledPolicy] = {}
        for device in devices:
            engine = candidate.places[device.site, device.name].engine
            compiled[id(engine)] = engine
            engine_devices[id(engine)].append(device.device_id)
        acting = entries if candidate.has_dynamic_lists else None
        self._replays = [(ids, Replay(compiled[key], acting)) for key, ids in engine_devices.items()]

    @property
    def needs_order(self) -> bool:
        """Whether calls must come in order of time."""
        return any(replay.needs_order for _, replay in self._replays)

    def decide(self, calls: pa.RecordBatch) -> pa.RecordBatch:
        """Decisions, row for row."""
        asked = calls.select(list(_DECIDED_BY))
        if len(self._replays) == 1:
            return _decide(self._replays[0][1], asked)
        places, parts = [], []
        for ids, replay in self._replays:
            is_theirs = compute.is_in(asked.column("device_id"), value_set=pa.array(ids, pa.int16()))
            rows = compute.indices_nonzero(is_theirs)
            if len(rows):
                places.append(rows)
                parts.append(_decide(replay, asked.take(rows)))
        order = compute.sort_indices(pa.chunked_array(places).combine_chunks())
        return pa.Table.from_batches(parts).combine_chunks().take(order).to_batches()[0]


def _decide(replay: Replay, asked: pa.RecordBatch) -> pa.RecordBatch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, asked.schema) as writer:
        writer.write_batch(asked)
    decided = replay.decide_batch(sink.getvalue().to_pybytes())
    return pa.ipc.open_stream(decided).read_next_batch()


def _candidate(connection: Connection, request: SimulationRequest, places: list[Place]) -> Candidate:
    if request.policy is not None:
        return engines.policy_candidate(connection, request.policy, places)
    if request.draft:
        return engines.policy_candidate(connection, drafts.read_draft(connection).policy, places, "draft")
    if request.version is not None:
        return engines.version_candidate(connection, request.version, places)
    return engines.installed_candidate(connection, places)


def _baseline(connection: Connection, against: str, places: list[Place]) -> Candidate | None:
    if against == "recorded":
        return None
    if against == "installed":
        return engines.installed_candidate(connection, places)
    return engines.version_candidate(connection, int(against), places)


def _report(
    simulation: Simulation, difference: Difference, missing: list[dict[str, Any]], in_order: bool
) -> dict[str, Any]:
    request, kinds = simulation.request, difference.kinds()
    over_time = difference.over_time()
    return {
        "candidate": _named(simulation.candidate),
        "against": _named(simulation.baseline),
        "period": {"start": request.start.isoformat(), "end": request.end.isoformat()},
        "site": request.site,
        "device": request.device,
        "calls": difference.calls,
        "changed": sum(kinds.values()),
        "kinds": kinds,
        "actions": {
            when: {word: sum(calls) for word, calls in over_time[when].items()} for when in ("before", "after")
        },
        "rules": _rules(simulation, difference),
        "top": difference.top(),
        "over_time": over_time,
        "samples": _samples(simulation, difference),
        "decided_by_versions": {str(version): calls for version, calls in difference.versions().items()},
        "missing": missing,
        "cautions": _cautions(simulation, difference, missing, in_order),
    }


def _named(candidate: Candidate | None) -> dict[str, Any]:
    if candidate is None:
        return {"kind": "recorded", "version": None, "title": "what was decided"}
    return {"kind": candidate.kind, "version": candidate.version or None, "title": candidate.title}


def _rules(simulation: Simulation, difference: Difference) -> list[dict[str, Any]]:
    """The candidate's rules in their order, then those that only the baseline has."""
    counted = difference.rules()
    nothing = {"before": 0, "after": 0, "monitored": 0}
    listed: list[tuple[int, str, str | None, str | None]] = [
        (rule.rule_id, rule.name, rule.mode, rule.action) for rule in simulation.candidate.rules
    ]
    known = {rule[0] for rule in listed}
    names = simulation.rule_names
    listed += [(rule, names.get(rule, f"#{rule}"), None, None) for rule in counted if rule not in known]
    return [
        {"id": rule, "name": name, "mode": mode, "action": action}
        | dict.fromkeys(KINDS[1:], 0)
        | counted.get(rule, nothing)
        for rule, name, mode, action in listed
    ]


def _samples(simulation: Simulation, difference: Difference) -> dict[str, list[dict[str, Any]]]:
    devices = {device.device_id: device.name for device in simulation.devices}
    return {
        kind: [_sample(row, devices, simulation.rule_names) for row in rows]
        for kind, rows in difference.samples().items()
    }


def _sample(row: dict[str, Any], devices: dict[int, str], names: dict[int, str]) -> dict[str, Any]:
    def decided(when: str) -> dict[str, Any]:
        rule, target = row[f"{when}_rule_id"], row[f"{when}_target"]
        return {
            "action": Action.word_of(row[f"{when}_action"]),
            "rule": names.get(rule, f"#{rule}") if rule else None,
            "target": f"+{target}" if target else None,
        }

    return {
        "time": row["time"].astimezone(UTC).isoformat(timespec="microseconds"),
        "device": devices.get(row["device_id"], f"#{row['device_id']}"),
        "source": number_text(row["source"], row["source_raw"], row["source_class"]),
        "destination": number_text(row["destination"], row["destination_raw"], row["destination_class"]),
        "direction": Direction.word_of(row["direction"]),
        "stream": row["stream_id"],
        "sequence": row["sequence"],
        "policy_version": row["policy_version"],
        "before": decided("before"),
        "after": decided("after"),
    }


def _cautions(
    simulation: Simulation, difference: Difference, missing: Sequence[dict[str, Any]], in_order: bool
) -> list[str]:
    """What the reader must know to believe the figures, in sentences."""
    found = []
    if missing:
        lost = sum(hour["counted"] - hour["recorded"] for hour in missing)
        found.append(
            f"{lost:,} calls of {len(missing)} hours between {missing[0]['hour']} and {missing[-1]['hour']} were "
            "counted but are not kept any more: nothing is said of them"
        )
    then = [version for version in difference.versions() if version]
    if simulation.baseline is None and len(then) > 1:
        found.append(
            f"the calls were decided by versions {_listed(then)}: what differs may come from those before; "
            "--against installed compares with what acts now"
        )
    if _uses_entries(simulation) and len(simulation.entries):
        found.append(
            f"{len(simulation.entries):,} dynamic entries that act now were taken for the whole period, as if they had "
            "always been there; those that ended since were not"
        )
    if in_order:
        found.append("rate conditions count from the first call of the period on, for each device, as on the devices")
    if difference.is_approximate:
        found.append("there are too many numbers to count each: the top numbers are nearly right")
    return found


def _uses_entries(simulation: Simulation) -> bool:
    candidates = (simulation.candidate, simulation.baseline)
    return any(candidate is not None and candidate.has_dynamic_lists for candidate in candidates)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
