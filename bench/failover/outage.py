"""One site lost under load: `ringfence failover` at the other, timed; then each answer against the rows there."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from bench.failover.deployment import COMMAND_S, Deployment
from bench.failover.sbc import Sbcs
from tests.failover.pair_node import PairNode

from ringfence.availability.failover.record import read_record
from ringfence.errors import RingfenceError

# After the command, calls go on so long; what the edges hold is then waited for.
AFTER_S = 10.0
_COMPLETE_S = 600.0
_POLL_S = 0.05
_RECEIVED = "SELECT coalesce(sum(last_sequence), 0)::bigint FROM device_stream WHERE NOT pg_is_in_recovery()"


@dataclass(frozen=True)
class Outage:
    """What it took and what it cost. Times are seconds after the command was called."""

    taking_s: float
    command_s: float
    complete_s: float
    said: str
    servers: int
    answered: int
    lost: int
    doubled: int
    unasked: int
    unanswered: Counter[int]
    given_up: int
    next_call: int  # behind all that were asked, with room for those under way


def lose_site(
    deployment: Deployment, sbcs: Sbcs, lost: PairNode, standby: PairNode, told: Callable[[str], None]
) -> Outage:
    """Cut the power of `lost`, make `standby` active by the one command, and compare; calls go on all the time."""
    with deployment.dark(lost):
        told(f"{lost.name} is dark; `ringfence failover` on {standby.name}")
        began = time.monotonic()
        with _first_event(standby) as taking:
            said = standby.cli("failover", timeout_s=COMMAND_S)
        command_s = time.monotonic() - began
        told("".join(f"\n    {line}" for line in said.splitlines()))
        sbcs.wait_for(sbcs.seen.calls + int(sbcs.rate * AFTER_S))
        answered = set(sbcs.seen.answered)
        rows = _complete(deployment, standby, sbcs.first, answered)
        complete_s = time.monotonic() - began
    assert taking, "no event came to the new pair"
    return _compared(deployment, sbcs, answered, rows, (taking[0] - began, command_s, complete_s), said)


def _compared(
    deployment: Deployment,
    sbcs: Sbcs,
    answered: set[tuple[int, int]],
    rows: Counter[tuple[int, int]],
    seconds: tuple[float, float, float],
    said: str,
) -> Outage:
    seen = sbcs.seen
    return Outage(
        *seconds,
        said,
        len(deployment.edges),
        len(answered),
        lost=len(answered - rows.keys()),
        doubled=sum(count > 1 for count in rows.values()),
        unasked=len(rows.keys() - seen.asked),
        unanswered=+seen.unanswered,
        given_up=seen.given_up,
        next_call=sbcs.first + seen.calls + 100_000,
    )


def _complete(
    deployment: Deployment, node: PairNode, first: int, answered: set[tuple[int, int]]
) -> Counter[tuple[int, int]]:
    """The rows, once every answered question is among them; those that there are when the time for it is over."""
    give_up = time.monotonic() + _COMPLETE_S
    while True:
        rows = deployment.stored(node, first)
        if answered <= rows.keys() or time.monotonic() > give_up:
            return rows
        time.sleep(0.5)


@contextmanager
def _first_event(node: PairNode) -> Iterator[list[float]]:
    """When the pair first held more than what it took over, on the monotonic clock; empty while it does not."""
    came: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not came and not is_over.wait(_POLL_S):
            with suppress(psycopg.Error, RingfenceError, OSError):
                record = read_record(node.settings)
                if record is None or "positions" not in record.facts:
                    continue
                held = sum(position[0] for position in record.facts["positions"].values())
                if node.rows(_RECEIVED)[0][0] > held:
                    came.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield came
    finally:
        is_over.set()
        thread.join()
