"""First pages of the call log, as people search it: by number, pattern, Call-ID, time, rule and result, over a month.

What is looked for is in the newest hour, all through the month, only in days that the archive has, or nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from bench.stopwatch import Taken, timed

from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.analytics.sip_calls import SipCall
from ringfence.database.connection import Database
from ringfence.vocabulary import CallResult, Dataset

FREQUENT, RARE, NOBODY = "+12105000001", "+12105150000", "+12105999999"
PATTERN, NO_PATTERN = "+1312555????", "+442079460*"
RULE, NEVER_HIT = "rule 7", "rule 30"


def searches(database: Database, start: datetime, end: datetime) -> Iterator[tuple[str, str, CallFilter]]:
    """(group, what, filter) of every search."""
    for dataset in Dataset:
        whole = CallFilter(dataset, start=start, end=end)
        word = dataset.word
        yield "newest, time, result", f"{word}, newest", whole
        for days in (10, 29):
            yield "newest, time, result", f"{word}, {days} days ago", replace(whole, end=end - timedelta(days=days))
        for what, number in (("frequent", FREQUENT), ("rare", RARE), ("never seen", NOBODY)):
            yield "number", f"{word}, {what} number", replace(whole, number=number)
        for what, number in (("common", PATTERN), ("never seen", NO_PATTERN)):
            yield "pattern", f"{word}, {what} pattern", replace(whole, number=number)
    enum = CallFilter(Dataset.ENUM, start=start, end=end)
    yield "rule", "rule", replace(enum, rule=RULE)
    yield "rule", "rule that no call hit", replace(enum, rule=NEVER_HIT)
    sip = CallFilter(Dataset.SIP, start=start, end=end)
    yield "newest, time, result", "result", replace(sip, result=CallResult.BUSY)
    for what, until in (("today's", end), ("archived", end - timedelta(days=20))):
        found = _find(database, replace(sip, end=until, limit=1))
        yield "Call-ID", f"{what} Call-ID", replace(sip, call_id=found.call_id)
    yield "Call-ID", "Call-ID of no call", replace(sip, call_id="0" * 32)


def slowest(
    database: Database, start: datetime, end: datetime, runs: int, told: Callable[[str], None]
) -> dict[str, tuple[Taken, str]]:
    """group → (what it took, what it was) of its slowest search."""
    found: dict[str, tuple[Taken, str]] = {}
    for group, what, wanted in searches(database, start, end):
        taken = timed(database, runs, partial(find_calls, wanted=wanted, now=end))
        told(f"{taken.clock:9.1f} ms, processor {taken.processor:6.0f} ms  call log: {what}")
        if group not in found or taken.clock > found[group][0].clock:
            found[group] = taken, what
    return found


def _find(database: Database, wanted: CallFilter) -> SipCall:
    with database.connection() as connection:
        (call,) = find_calls(connection, wanted, now=wanted.end)
    assert isinstance(call, SipCall)
    return call
