"""How soon a call is counted in Analytics after its query: `make bench-visible`.

A whole node of `ringfence up` on loopback (database, mediation, ENUM server) is asked a thousand queries a second for
half a minute, on schedule; beside that the API is asked again and again how many calls view `calls` counts. The n-th
query is visible when an answer counts n of them; its time runs from its scheduled moment to the end of that answer, so
waiting for the node and asking it are in the figure. Goal: 2 s for every query.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.report import Row, finish, row  # noqa: E402
from tests.system.running_node import RunningNode, running_node  # noqa: E402

from ringfence.cli.client import connect  # noqa: E402
from ringfence.demo.enum_line import EnumLine  # noqa: E402
from ringfence.detection.attacks.call import ModelCall  # noqa: E402
from ringfence.mediation.client import Client  # noqa: E402
from ringfence.settings import load_settings  # noqa: E402
from ringfence.vocabulary import CallResult, Direction  # noqa: E402

GOAL_S = 2.0
POLL_S = 0.05
DEADLINE_S = 60.0
APEX = "e164.internal"


class Asking(threading.Thread):
    """Queries at their times; `due` has the moment of each (`time.monotonic`), `unanswered` how many got no answer."""

    def __init__(self, server: tuple[str, int], rate: int, seconds: float) -> None:
        super().__init__(name="asking")
        self._server = server
        begin = time.monotonic() + 0.5
        self.due = [begin + number / rate for number in range(int(rate * seconds))]
        self.unanswered = 0

    def run(self) -> None:
        """Ask them all, and wait for the last answers."""
        randomness = Random(1)
        line = EnumLine(self._server, APEX)
        for due in self.due:
            while (left := due - time.monotonic()) > 0:
                self._listen(line)
                time.sleep(min(left, 0.001))
            line.ask(_call(randomness), time.monotonic())
        while line.under_way:
            self._listen(line)
            time.sleep(0.001)
        line.close()

    def _listen(self, line: EnumLine) -> None:
        for _ in line.answers():
            pass
        self.unanswered += sum(1 for _ in line.given_up(time.monotonic()))


def measure(node: RunningNode, rate: int, seconds: float) -> tuple[list[float], Asking]:
    """Seconds from each query to the answer that counts it, in order of asking."""
    client = connect(load_settings(flags={"data": str(node.data)}))
    start = datetime.now(UTC) - timedelta(minutes=1)
    before = counted(client, start)
    asking = Asking(node.enum_address(), rate, seconds)
    asking.start()
    taken: list[float] = []
    give_up = asking.due[-1] + DEADLINE_S
    while len(taken) < len(asking.due) and time.monotonic() < give_up:
        visible = counted(client, start) - before
        now = time.monotonic()
        taken += [now - due for due in asking.due[len(taken) : visible]]
        time.sleep(POLL_S)
    asking.join()
    return taken, asking


def counted(client: Client, start: datetime) -> int:
    """The calls that view `calls` counts since."""
    wanted = {"view": "calls", "grouping": "period", "start": start.isoformat()}
    wanted["end"] = (start + timedelta(hours=1)).isoformat()
    answer = client.get("analytics", **wanted)
    return sum(values[1] for values in answer["rows"])


def _call(randomness: Random) -> ModelCall:
    source = f"+1210555{randomness.randrange(10_000):04}"
    destination = f"+1312555{randomness.randrange(10_000):04}"
    answered = CallResult.ANSWERED
    return ModelCall(0, source, destination, Direction.OUTBOUND, "enum-1", "main", True, 60.0, answered, "ordinary")


def main() -> None:
    """Measure and print the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000, help="queries a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with running_node() as node:
        taken, asking = measure(node, arguments.rate, arguments.seconds)
    missing = len(asking.due) - len(taken)
    centiles = statistics.quantiles(taken, n=100)
    name = f"visible after the query, {arguments.rate} a second"
    rows: list[Row] = [
        row(f"{name}: median (s)", statistics.median(taken), {}, "", True),
        row(f"{name}: p99 (s)", centiles[98], {}, f"< {GOAL_S:g} s", centiles[98] < GOAL_S),
        row(f"{name}: slowest (s)", max(taken), {}, f"< {GOAL_S:g} s", max(taken) < GOAL_S and not missing),
        row("queries never counted", missing, {}, "0", missing == 0),
        row("queries without an answer", asking.unanswered, {}, "0", asking.unanswered == 0),
    ]
    finish("visible", rows, queries=len(asking.due), load=os.getloadavg()[0])


if __name__ == "__main__":
    main()
