"""The archive on a Spark cluster of a master and two workers, each a process: the same SQL text, the same rows.

pyspark is large and is not in the lock files: `pip install 'ringfence[spark]'` into the environment and run this file.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.mediation_server import wait_until
from tests.storage.conftest import NOW, Make, fill
from tests.storage.test_archive import all_parts

from ringfence.database.connection import Database
from ringfence.storage.reach import ask_archive
from ringfence.storage.spark import ask_spark

STATEMENTS = (
    "SELECT date_trunc('hour', time) AS hour, action, count(*) AS calls, count(DISTINCT source) AS sources"
    " FROM enum_event WHERE time >= %(start)s AND time < %(end)s GROUP BY 1, 2",
    "SELECT source, count(*) FILTER (WHERE action = 2) AS terminated, sum(latency_ns::bigint)::bigint AS latency"
    " FROM enum_event WHERE time >= %(start)s AND time < %(end)s GROUP BY source",
    "SELECT * FROM (SELECT destination, count(*) AS calls, row_number() OVER (ORDER BY count(*) DESC, destination)"
    " AS rank FROM enum_event WHERE source_raw IS NULL GROUP BY destination) AS ranked WHERE rank <= 5",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Any]:
    """A session on a standalone master with two workers."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'ringfence[spark]'")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17, and there is no java")
    from pyspark.sql import SparkSession

    home = Path(pyspark.__file__).parent
    master = f"spark://127.0.0.1:{(port := free_port())}"
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(tmp_path),
    }
    start = [str(home / "bin" / "spark-class"), "org.apache.spark.deploy"]
    log = (tmp_path / "spark.log").open("wb")
    daemons: list[subprocess.Popen[bytes]] = []

    def run(role: str, *arguments: str) -> None:
        command = [start[0], f"{start[1]}.{role}", "--host", "127.0.0.1", *arguments]
        daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path))

    made: Any = None
    try:
        run("master.Master", "--port", str(port), "--webui-port", str(free_port()))
        for _ in range(2):
            run("worker.Worker", "--cores", "1", "--memory", "600m", "--webui-port", str(free_port()), master)
        said = tmp_path / "spark.log"
        wait_until(lambda: said.read_text(errors="replace").count("Registering worker") == 2, 90)
        made = (
            SparkSession.builder.master(master)
            .appName("ringfence")
            .config("spark.executor.memory", "512m")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "4")
            .getOrCreate()
        )
        yield made
    finally:
        if made is not None:
            made.stop()
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(30)
        log.close()


def test_the_same_sql_text_gives_the_same_rows_on_a_cluster(
    session: Any, database: Database, storage: Make, tmp_path: Path
) -> None:
    for ago in (6, 7, 9):
        fill(database, "enum_event", ago, 500)
    storage(tmp_path / "archive", enum={"days": 5}).round()
    parts = all_parts(database)
    values = {"start": NOW - timedelta(days=8), "end": NOW - timedelta(days=5)}
    assert session.sparkContext.master.startswith("spark://")
    for statement in STATEMENTS:
        with database.connection() as connection:
            wanted = [tuple(row.values()) for row in ask_archive(connection, statement, values, "enum_event", parts)]
        found = ask_spark(session, statement, values, "enum_event", parts)
        assert sorted(map(_plain, found)) == sorted(map(_plain, wanted))
        assert wanted


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Spark gives times without a zone; in this test they are UTC."""
    return tuple(value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value for value in row)
