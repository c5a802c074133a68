"""How soon one more number on a dynamic list is seen on the wire, after the API call that added it has returned.

A real mediation on a database of its own, over HTTP; a real ENUM server that has the installed policy (a million listed
numbers), followed as the edge agent does. Alone: `python bench/enum/dynamic_entry.py`; `run.py` adds its row.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.enum.data import APEX, Data, prepare, queries  # noqa: E402
from tests.mediation_server import RunningMediation  # noqa: E402

from ringfence._native import EnumServer  # noqa: E402
from ringfence.database.cluster import remove_cluster  # noqa: E402
from ringfence.database.connection import Database  # noqa: E402
from ringfence.database.embedded import EmbeddedServer  # noqa: E402
from ringfence.database.migrate import migrate  # noqa: E402
from ringfence.edge.dynamic_entries import EntriesFollower  # noqa: E402
from ringfence.edge.mediation_client import MediationClient  # noqa: E402
from ringfence.edge.policy_store import PolicyStore  # noqa: E402
from ringfence.mediation.devices import register_device  # noqa: E402
from ringfence.mediation.sites import first_site  # noqa: E402
from ringfence.policy import versions  # noqa: E402
from ringfence.policy.rules import policy_from  # noqa: E402
from ringfence.settings import Settings  # noqa: E402

GOAL_MS = 200
ROUNDS = 20
DEADLINE_S = 5.0


def measure(data: Data, rounds: int = ROUNDS) -> dict[str, float]:
    """Median and worst of `rounds` additions, milliseconds."""
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedServer(Settings(data=folder / "database"))
        try:
            postgres.start()
            database = Database(postgres.url, pool_size=8)
            migrate(database)
            with RunningMediation(database, folder / "mediation") as mediation:
                taken = _measure_on(mediation, folder, data, rounds)
            database.close()
        finally:
            postgres.stop()
            remove_cluster(folder / "database")
    return {"median_ms": statistics.median(taken) * 1000, "worst_ms": max(taken) * 1000, "rounds": rounds}


def _measure_on(mediation: RunningMediation, folder: Path, data: Data, rounds: int) -> list[float]:
    numbers = data.load_numbers()
    server = EnumServer(json.dumps({"listen": ["127.0.0.1:0"], "apex": [APEX]}))
    try:
        server.install(_install(mediation, numbers))
        editor = mediation.client()
        with _following(mediation, server, folder):
            host, port = server.addresses[0].rsplit(":", 1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.connect((host, int(port)))
                line.settimeout(DEADLINE_S)
                taken = []
                for number in numbers[:rounds]:
                    query = next(queries([number]))[2:]
                    if b"terminate" in _ask(line, query):
                        raise RuntimeError(f"{number} is refused before it is on the list")
                    body = {"pattern": f"+{number}", "lasts_s": 3600}
                    editor.post("lists/attackers/entries", json=body).raise_for_status()
                    taken.append(_until_refused(line, query))
        return taken
    finally:
        server.stop()


def _install(mediation: RunningMediation, numbers: list[str]) -> bytes:
    """Commit and install the policy of the bench; its document."""
    policy = policy_from(
        {
            "lists": {"attackers": {"dynamic": True}, "listed": [f"+{number}" for number in numbers]},
            "rules": [
                {"name": "attack", "destinations": ["list:attackers"], "action": "terminate"},
                {"name": "listed", "destinations": ["list:listed"], "action": "allow"},
            ],
        }
    )
    with mediation.database.connection() as connection:
        commit = versions.commit_policy(connection, policy, first_site(connection), "bench")
        versions.install_version(connection, commit.version.version, "bench")
        return versions.read_document(connection, commit.version.version)


def _ask(line: socket.socket, query: bytes) -> bytes:
    line.send(query)
    return line.recv(4096)


def _until_refused(line: socket.socket, query: bytes) -> float:
    start = time.perf_counter()
    while b"terminate" not in _ask(line, query):
        if time.perf_counter() - start > DEADLINE_S:
            raise RuntimeError(f"not visible within {DEADLINE_S:g} s")
        time.sleep(0.0005)  # one process holds both sides: asking must not take the time of the one that answers
    return time.perf_counter() - start


@contextmanager
def _following(mediation: RunningMediation, server: EnumServer, folder: Path) -> Iterator[None]:
    with mediation.database.connection() as connection:
        _, credential = register_device(connection, "enum-1", "enum", None, "bench")
    follower = EntriesFollower(server, PolicyStore(folder / "entries", "entries"))
    loop = asyncio.new_event_loop()

    async def run() -> None:
        client = MediationClient((mediation.url,), credential)
        try:
            await follower.run(client)
        finally:
            await client.close()

    task = loop.create_task(run())
    thread = Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    try:
        while not mediation.process.entries_feed.waiting:
            time.sleep(0.01)
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def main() -> None:
    """Measure with a million listed numbers; one line of JSON."""
    found: dict[str, Any] = measure(prepare(ROOT / "target" / "bench-enum", 1_000_000))
    print(json.dumps(found | {"goal_ms": GOAL_MS, "ok": found["median_ms"] < GOAL_MS}))


if __name__ == "__main__":
    main()
