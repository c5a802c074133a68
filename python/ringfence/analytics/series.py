"""Views of one figure, or a few, for each bucket: calls, calls a second, and what telephony judges a network by.

Definitions: ASR and NER by ITU-T E.411 and E.425 (answers, or calls that reached the called end, of all seizures; a
seizure is an INVITE that began a call); SER, SEER and ISA by RFC 6076 sections 4.6 to 4.8; ACD is RFC 6076's session
duration time (4.5): answer to the first BYE; PDD its session request delay (4.3): INVITE to the first ringing or
answer. A share of nothing is None.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from ringfence.analytics.counting import count
from ringfence.analytics.question import OUTCOMES, Asked, Row
from ringfence.analytics.values import LATENCY_BOUNDS_US, count_values

Figures = dict[str, int]
_SHARES = (("p50_us", 0.5), ("p95_us", 0.95), ("p99_us", 0.99))


def fetch_calls(asked: Asked) -> list[Row]:
    """(bucket, calls, and of these how many came out in each way)."""
    counts = count(asked, ("calls",), ("outcome",))
    by_slot: list[dict[int, int]] = [{} for _ in asked.buckets.keys]
    for (slot, outcome), figures in counts.items():
        by_slot[slot][outcome] = figures["calls"]
    outcomes = OUTCOMES[asked.query.dataset]
    return [
        (key, sum(counted.values()), *(counted.get(int(outcome), 0) for outcome in outcomes))
        for key, counted in zip(asked.buckets.keys, by_slot, strict=True)
    ]


def fetch_average_cps(asked: Asked) -> list[Row]:
    """(bucket, calls, calls per second of the part of the bucket that has passed)."""
    seconds = asked.buckets.seconds(asked.now)
    return [
        (key, figures["calls"], figures["calls"] / seconds[slot])
        for slot, (key, figures) in enumerate(_of_buckets(asked, ("calls",)))
    ]


def fetch_latency(asked: Asked) -> list[Row]:
    """(bucket, calls, average, 50th, 95th and 99th percentile, maximum) of the decision's time in microseconds.

    A percentile is told by the upper bound of its class in LATENCY_BOUNDS_US; None beyond the last.
    """
    classes: list[list[int]] = [[0] * (len(LATENCY_BOUNDS_US) + 1) for _ in asked.buckets.keys]
    for (slot, place), calls in count_values(asked, "latency").items():
        classes[slot][int(place)] = calls
    rows: list[Row] = []
    for slot, (key, figures) in enumerate(_of_buckets(asked, ("calls", "latency_ns", "latency_ns_max"))):
        calls = figures["calls"]
        average = figures["latency_ns"] / calls / 1000 if calls else None
        percentiles = [_percentile(classes[slot], share) for _, share in _SHARES]
        rows.append((key, calls, average, *percentiles, figures["latency_ns_max"] / 1000 if calls else None))
    return rows


def by_figures(measures: Sequence[str], row: Callable[[Figures], Row]) -> Callable[[Asked], list[Row]]:
    """A view whose rows are (bucket, *row(figures of the bucket))."""

    def fetch(asked: Asked) -> list[Row]:
        return [(key, *row(figures)) for key, figures in _of_buckets(asked, measures)]

    return fetch


def asr(figures: Figures) -> Row:
    """(calls, answered, ASR %, SER %)."""
    calls, answered = figures["calls"], figures["answered"]
    return calls, answered, percent(answered, calls), percent(answered, calls - figures["try_again"])


def ner(figures: Figures) -> Row:
    """(calls, effective, NER %, SEER %, ISA %)."""
    calls, effective = figures["calls"], figures["effective"]
    return (
        calls,
        effective,
        percent(effective, calls),
        percent(figures["reached"], calls - figures["try_again"]),
        percent(figures["ineffective"], calls),
    )


def acd(figures: Figures) -> Row:
    """(answered, seconds talked, average seconds)."""
    answered, seconds = figures["answered"], figures["duration_ms"] / 1000
    return answered, seconds, seconds / answered if answered else None


def pdd(figures: Figures) -> Row:
    """(calls that rang or were answered, average milliseconds, maximum)."""
    calls = figures["pdd_calls"]
    return calls, figures["pdd_ms"] / calls if calls else None, figures["pdd_ms_max"] if calls else None


def quality(figures: Figures) -> Row:
    """(calls, audio streams with a MOS, their average MOS, those below 3.6, packets, lost, loss %)."""
    streams, packets, lost = figures["streams"], figures["packets"], figures["lost"]
    mos = figures["mos_100"] / streams / 100 if streams else None
    return figures["calls"], streams, mos, figures["poor"], packets, lost, percent(lost, packets + lost)


def percent(part: int, whole: int) -> float | None:
    """100 × part / whole; None of nothing."""
    return 100 * part / whole if whole else None


def _of_buckets(asked: Asked, measures: Sequence[str]) -> list[tuple[object, Figures]]:
    """(key, figures) of each bucket; one without a call has zeros."""
    counts = count(asked, measures)
    nothing = dict.fromkeys(measures, 0)
    return [(key, counts.get((slot,), nothing)) for slot, key in enumerate(asked.buckets.keys)]


def _percentile(classes: list[int], share: float) -> float | None:
    """Upper bound of the class that holds the call of rank ⌈share × calls⌉."""
    totals: list[int] = []
    for calls in classes:
        totals.append((totals[-1] if totals else 0) + calls)
    if not totals or not totals[-1]:
        return None
    place = bisect_left(totals, share * totals[-1])
    return LATENCY_BOUNDS_US[place] if place < len(LATENCY_BOUNDS_US) else None
