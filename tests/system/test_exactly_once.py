"""Every ENUM query is in the database exactly once: under load, and when the mediation is killed meanwhile.

Real processes: `ringfence mediation` and `ringfence enum` on an embedded database, dnsperf as the crowd of SBCs.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.environment import environment
from tests.warm import SERVERS, WarmProcess

from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings

pytestmark = [pytest.mark.load, pytest.mark.slow]

QUERIES_A_SECOND = 20_000
SECONDS = 30
OUTAGE_S = 20
# Only to bound a failure: what is left after the load goes up in a few seconds.
DRAIN_S = 120


@dataclass
class Pair:
    """A mediation and an ENUM server, each a process that may be killed and started again."""

    data: Path
    database: Database
    processes: dict[str, WarmProcess] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        return self.data / "mediation.sock"

    def start_mediation(self) -> None:
        self._start("mediation", "--port", "0", "--socket", str(self.socket), "--database", self.database.url)

    def start_enum(self, credential: str) -> None:
        file = self.data / "credential"
        file.write_text(credential, encoding="utf-8")
        file.chmod(0o600)
        mediation = f"unix:{self.socket}"
        self._start("enum", "--listen", "127.0.0.1:0", "--mediation", mediation, "--credential-file", str(file))

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes.pop(name).wait(10)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)

    def enum_port(self) -> int:
        (address, *_) = json.loads((self.data / "run" / "enum.json").read_text(encoding="utf-8"))["listen"]
        return int(address.rpartition(":")[2])

    def queries_seen(self) -> int:
        """The ENUM server's own count."""
        place = json.loads((self.data / "run" / "enum.json").read_text(encoding="utf-8"))["metrics"]
        text = httpx.get(f"{place}/metrics" if "://" in place else f"http://{place}/metrics", trust_env=False).text
        found = re.search(r"^ringfence_enum_queries_total(?:{.*})? (\S+)$", text, re.MULTILINE)
        assert found, text
        return int(float(found.group(1)))

    def logs(self) -> str:
        return "\n".join(file.read_text(encoding="utf-8", errors="replace")[-3000:] for file in self.data.glob("*.log"))

    def _start(self, name: str, *arguments: str) -> None:
        ready = self.data / "run" / f"{name}.json"
        ready.unlink(missing_ok=True)
        with (self.data / f"{name}.log").open("ab") as output:
            words = [name, "--data", str(self.data), *arguments]
            self.processes[name] = SERVERS.start(words, environment(), stdout=output, stderr=output)
        until(lambda: ready.exists() or self.processes[name].poll() is not None, 60, f"{name} serves")
        assert self.processes[name].poll() is None, self.logs()


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def pair(database: Database) -> Iterator[Pair]:
    if shutil.which("dnsperf") is None:
        pytest.skip("needs the Debian package dnsperf (apt-get install dnsperf)")
    # Not pytest's folder: a socket's path must be short.
    data = Path(tempfile.mkdtemp(prefix="ringfence-"))
    running = Pair(data, database)
    try:
        running.start_mediation()
        with database.connection() as connection:
            ensure_first_site(connection, Settings().site)
            _, credential = register_device(connection, "enum-1", "enum", None, "test")
        running.start_enum(credential)
        yield running
    finally:
        running.stop()
        shutil.rmtree(data, ignore_errors=True)


class Load:
    """dnsperf in the background, asking for many numbers."""

    def __init__(self, pair: Pair, queries_a_second: int) -> None:
        names = pair.data / "queries"
        numbers = (f"1210555{number:04d}" for number in range(10_000))
        names.write_text("".join(f"{'.'.join(reversed(n))}.e164.internal NAPTR\n" for n in numbers), encoding="ascii")
        command = ["dnsperf", "-s", "127.0.0.1", "-p", str(pair.enum_port()), "-d", str(names), "-l", str(SECONDS)]
        self._process = subprocess.Popen(
            [*command, "-Q", str(queries_a_second), "-c", "4", "-q", "2000", "-b", "4096"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self) -> tuple[int, int]:
        """(queries sent, queries answered) when it has ended."""
        output, _ = self._process.communicate(timeout=SECONDS + 60)
        found = dict(re.findall(r"Queries (sent|completed): +(\d+)", output))
        assert found, output
        return int(found["sent"]), int(found["completed"])


def stored(database: Database) -> dict[str, Any]:
    """What the database says of all streams."""
    with database.connection() as connection:
        row = connection.execute(
            """
            SELECT (SELECT coalesce(sum(last_sequence), 0)::bigint FROM device_stream),
                   (SELECT coalesce(sum(lost), 0)::bigint FROM device_stream),
                   (SELECT coalesce(sum(calls), 0)::bigint FROM call_minute),
                   count(*), count(DISTINCT (stream_id, sequence)),
                   coalesce(max(sequence), 0), coalesce(min(sequence), 1)
            FROM enum_event
            """
        ).fetchone()
    assert row is not None
    return dict(zip(("last", "lost", "calls", "rows", "distinct", "max", "min"), row, strict=True))


def assert_each_once(pair: Pair, expected: int) -> None:
    """`expected` events arrive and are there once: no gap, no double, counts and rows agree."""

    def received() -> int:
        with pair.database.connection() as connection:
            row = connection.execute("SELECT coalesce(sum(last_sequence), 0)::bigint FROM device_stream").fetchone()
        return int(row[0]) if row else 0

    until(lambda: received() >= expected, DRAIN_S, f"{expected} events have arrived")
    # All came over UDP: one data-plane thread, one stream, so its sequences are 1 … expected.
    assert stored(pair.database) == {
        "last": expected,
        "lost": 0,
        "calls": expected,
        "rows": expected,
        "distinct": expected,
        "max": expected,
        "min": 1,
    }


def test_no_query_is_lost_or_doubled_at_twenty_thousand_a_second(pair: Pair) -> None:
    sent, answered = Load(pair, QUERIES_A_SECOND).result()
    assert sent > 0.9 * QUERIES_A_SECOND * SECONDS, "the machine was too slow to ask that much"
    # First the books, then the wire: what the server saw is stored, and it saw everything.
    assert_each_once(pair, pair.queries_seen())
    assert answered == pair.queries_seen() == sent


def test_a_mediation_killed_under_load_loses_and_doubles_nothing(pair: Pair) -> None:
    load = Load(pair, QUERIES_A_SECOND // 4)
    until(lambda: stored(pair.database)["rows"] > 0, 20, "first events have arrived")
    pair.kill("mediation")
    time.sleep(OUTAGE_S)  # the outage itself is what is tested
    pair.start_mediation()
    sent, answered = load.result()
    assert_each_once(pair, pair.queries_seen())
    # The ENUM server answered throughout.
    assert answered == pair.queries_seen() == sent
