"""Views as plain Python over lists of events: what analytics must agree with, written without its SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Event = Mapping[str, Any]
Key = datetime | int

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS = {"second": 1, "minute": 60, "15_minutes": 900}


def key_of(time: datetime, grouping: str, zone: str, start: datetime) -> Key:
    """The key of the bucket that `time` falls in."""
    if grouping == "period":
        return start
    if grouping in _LENGTHS:
        length = timedelta(seconds=_LENGTHS[grouping])
        return time - (time - _EPOCH) % length
    local = time.astimezone(ZoneInfo(zone))
    if grouping == "hour_of_week":
        return local.weekday() * 24 + local.hour
    if grouping == "hour":
        # In zones that change by whole hours; `fold` keeps the two hours apart that are lived twice.
        return (time - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)).replace(
            tzinfo=UTC
        )
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if grouping == "week":
        midnight = (midnight - timedelta(days=midnight.weekday())).replace(fold=0)
    return midnight.astimezone(UTC)


def per_bucket(events: Iterable[Event], key: Callable[[datetime], Key]) -> dict[Key, list[Event]]:
    """Events by the key of their bucket."""
    found: dict[Key, list[Event]] = defaultdict(list)
    for event in events:
        found[key(event["time"])].append(event)
    return found


def share(part: float, whole: float) -> float | None:
    """Percent, None of nothing."""
    return 100 * part / whole if whole else None


def peak(events: Iterable[Event]) -> int:
    """Most events of one second."""
    return max(Counter(event["time"].replace(microsecond=0) for event in events).values(), default=0)


def asr(events: list[Event]) -> tuple[Any, ...]:
    """(calls, answered, ASR, SER)."""
    answered = sum(e["result"] == 1 for e in events)
    again = sum(e["result"] != 1 and (300 <= e["status"] < 400 or e["status"] in (401, 402, 407)) for e in events)
    return len(events), answered, share(answered, len(events)), share(answered, len(events) - again)


def ner(events: list[Event]) -> tuple[Any, ...]:
    """(calls, effective, NER, SEER, ISA)."""
    again = sum(e["result"] != 1 and (300 <= e["status"] < 400 or e["status"] in (401, 402, 407)) for e in events)
    effective = sum(e["result"] == 1 or e["status"] in (480, 486, 487, 600, 603, 607, 608) for e in events)
    reached = sum(e["result"] == 1 or e["status"] in (480, 486, 600, 603) for e in events)
    ineffective = sum(e["status"] in (408, 500, 503, 504) for e in events)
    calls = len(events)
    return calls, effective, share(effective, calls), share(reached, calls - again), share(ineffective, calls)


def acd(events: list[Event]) -> tuple[Any, ...]:
    """(answered, seconds, average)."""
    answered = sum(e["result"] == 1 for e in events)
    seconds = sum(e["duration_ms"] for e in events if e["result"] == 1 and e["duration_ms"] >= 0) / 1000
    return answered, seconds, seconds / answered if answered else None


def pdd(events: list[Event]) -> tuple[Any, ...]:
    """(calls, average, maximum)."""
    delays = [e["pdd_ms"] for e in events if e["pdd_ms"] >= 0]
    return len(delays), sum(delays) / len(delays) if delays else None, max(delays, default=None)


def quality(events: list[Event]) -> tuple[Any, ...]:
    """(calls, streams, MOS, poor, packets, lost, loss)."""
    mos = [e[f"{side}_mos_100"] for e in events for side in ("forward", "backward") if e[f"{side}_mos_100"]]
    packets = sum(e[f"{side}_packets"] for e in events for side in ("forward", "backward"))
    lost = sum(e[f"{s}_lost"] for e in events for s in ("forward", "backward") if e[f"{s}_packets"])
    return (
        len(events),
        len(mos),
        sum(mos) / len(mos) / 100 if mos else None,
        sum(m < 360 for m in mos),
        packets,
        lost,
        share(lost, packets + lost),
    )


def concurrent(events: Iterable[Event], instants: list[datetime]) -> list[int]:
    """Calls in progress at each instant."""
    return [
        sum(e["time"] <= instant < e["time"] + timedelta(milliseconds=e["total_ms"]) for e in events)
        for instant in instants
    ]
