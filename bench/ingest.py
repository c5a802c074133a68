"""Ingest beside PostgreSQL's own binary COPY into the same table: `make bench-ingest`.

Both take the same rows in batches of the same size, one commit a batch, on the same embedded server, in turns. "copy"
sends bytes that were encoded beforehand; "ingest" starts from the upload's bytes: check, shape, encode, COPY, counts
of analytics, sequence. Ends with one RESULT line; goal: 0.6 of COPY's rate.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from ringfence._native import arrow_to_copy
from ringfence.database.cluster import remove_cluster
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer
from ringfence.database.migrate import migrate
from ringfence.database.partitions import bounds
from ringfence.mediation.ingest.batch import decode_batch
from ringfence.mediation.ingest.calls import with_numbers
from ringfence.mediation.ingest.classes import with_classes
from ringfence.mediation.ingest.rows import arrow_stream, of_stream, stored_rows
from ringfence.mediation.ingest.schema import event_schema
from ringfence.mediation.ingest.store import Ingest
from ringfence.numbering.classification import Classifier
from ringfence.numbering.dial_plan import Site
from ringfence.numbering.normalise import normaliser_of
from ringfence.settings import Settings

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.report import finish, row  # noqa: E402

GOAL = 0.6
ENUM = event_schema("enum")


def upload(size: int, first: int, start: datetime, randomness: random.Random) -> bytes:
    """One upload of `size` calls, sources and destinations drawn as in a busy network: few often, many rarely."""
    sources = [12105550000 + int(randomness.paretovariate(0.7)) % 200_000 for _ in range(size)]
    destinations = [13125550000 + int(randomness.paretovariate(0.9)) % 20_000 for _ in range(size)]
    constant: dict[str, Any] = {
        "peer": "192.0.2.7", "peer_port": 40_000, "transport": 1, "target": 0, "source_class": 1,
        "destination_class": 1, "source_origin": 1, "direction": 2, "reason": 2, "rcode": 0, "rule_id": 0,
        "policy_version": 7, "latency_ns": 9000,
    }  # fmt: skip
    columns: dict[str, list[Any]] = {
        "sequence": list(range(first, first + size)),
        "time": [start + timedelta(milliseconds=index) for index in range(size)],
        "source": sources,
        "destination": destinations,
        "action": randomness.choices([1, 2, 3], [95, 4, 1], k=size),
        "source_raw": [f"+{number}" for number in sources],
        "destination_raw": [str(number) for number in destinations],
        "monitored": [[]] * size,
        **{name: [value] * size for name, value in constant.items()},
    }
    batch = pa.RecordBatch.from_arrays(
        [pa.array(columns[field.name], field.type) for field in ENUM.arrow], names=ENUM.arrow.names
    ).replace_schema_metadata({"ringfence.schema": ENUM.name})
    return arrow_stream(batch)


class Run:
    """One server, one device, and both ways in."""

    def __init__(self, database: Database, size: int) -> None:
        self.database = database
        self.size = size
        self.now = datetime.now(UTC)
        self.ingest = Ingest(database)
        self.classifier = Classifier()
        self.last = 0
        self.randomness = random.Random(1)
        with database.connection() as connection:
            connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
            connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash)"
                " SELECT 'enum-1', 'enum', site_id, '' FROM site"
            )

    def next_upload(self) -> bytes:
        """The next batch of the stream."""
        start = self.now - timedelta(minutes=1)
        body = upload(self.size, self.last + 1, start, self.randomness)
        self.last += self.size
        return body

    def by_ingest(self, body: bytes) -> None:
        """Everything that ingest does."""
        assert self.ingest.accept(1, "enum", 1, 0, body, self.now) == self.last

    def encoded(self, body: bytes) -> tuple[str, bytes]:
        """COPY statement and bytes for the same rows."""
        events = with_classes(decode_batch(body, ENUM).events, self.classifier, "US")
        rows = of_stream(stored_rows(events, ENUM, 1, self.now, bounds(self.now)), 1)
        columns = ", ".join(rows.schema.names)
        return f"COPY enum_event ({columns}) FROM STDIN (FORMAT binary)", arrow_to_copy(arrow_stream(rows))

    def by_copy(self, statement: str, data: bytes) -> None:
        """PostgreSQL alone."""
        with self.database.connection() as connection, connection.cursor().copy(statement.encode()) as copy:
            copy.write(data)


def timed(work: Callable[[], None]) -> float:
    """Seconds that `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure(database: Database, size: int, rounds: int) -> tuple[float, float]:
    """Median rows a second of (ingest, COPY alone), taken in turns."""
    run = Run(database, size)
    run.by_ingest(run.next_upload())  # partitions, stream, caches
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(rounds):
        body = run.next_upload()
        ours.append(timed(lambda body=body: run.by_ingest(body)))  # type: ignore[misc]
        # The sequence moves on without the stream: COPY knows nothing of it.
        encoded = run.encoded(upload(size, run.last + 1, run.now - timedelta(minutes=1), run.randomness))
        peer.append(timed(lambda encoded=encoded: run.by_copy(*encoded)))  # type: ignore[misc]
    return size / statistics.median(ours), size / statistics.median(peer)


def normalisation(size: int = 100_000, rounds: int = 9) -> float:
    """Numbers a second and core, warm: raw text of SIP calls → E.164, class, direction, country, line, call type."""
    site = Site("main", "US", ("+12105550000-+12105559999",))
    normaliser, classifier = normaliser_of(site), Classifier()
    randomness = random.Random(3)
    forms = ("+1{}", "1{}", "{}", "011{}", "sip:+1{}@pbx.example;user=phone")
    texts = [randomness.choice(forms).format(2105550000 + randomness.randrange(50_000)) for _ in range(2 * size)]
    events = pa.RecordBatch.from_pydict(
        {"source_raw": texts[:size], "destination_raw": texts[size:], "side": pa.array([0] * size, pa.int16())}
    )
    with_classes(with_numbers(events, normaliser), classifier, site.country)
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        with_classes(with_numbers(events, normaliser), classifier, site.country)
        taken.append(time.process_time() - begin)
    return 2 * size / statistics.median(taken)


def main() -> None:
    """Measure and print the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 20_000])
    arguments = parser.parse_args()
    rows = []
    for size in arguments.sizes:
        data = Path(tempfile.mkdtemp(prefix="ringfence-bench-"))
        data.chmod(0o755)
        server = EmbeddedServer(Settings(data=data))
        try:
            server.start()
            database = Database(server.url, pool_size=2)
            migrate(database)
            ours, peer = measure(database, size, arguments.rounds)
            database.close()
        finally:
            server.stop()
            remove_cluster(data)
            shutil.rmtree(data, ignore_errors=True)
        found = row(f"{size} rows a commit", ours, {"binary COPY": peer}, f"≥ {GOAL} × COPY", ours >= GOAL * peer)
        print(f"{found['row']}: {ours:,.0f} rows/s, COPY alone {peer:,.0f} rows/s, {ours / peer:.2f}")
        rows.append(found)
    rate = normalisation()
    rows.append(row("numbers normalised and classified a second and core", rate, {}, "≥ 1,000,000", rate >= 1e6))
    finish("ingest", rows)


if __name__ == "__main__":
    main()
