"""`ringfence enum` as a child process of a test."""

from __future__ import annotations

import io
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import dns.message
import dns.query
import pyarrow as pa
from tests.edge.partners import wait_until
from tests.environment import environment
from tests.warm import SERVERS

from ringfence._native import open_journal


class Edge:
    """A child process and where it listens."""

    def __init__(self, data: Path, *flags: str, listen: str = "127.0.0.1:0", **settings: str) -> None:
        self.data = data
        # Its log, once it has stopped.
        self.said = ""
        self.address_file = data / "run" / "enum.json"
        self.address_file.unlink(missing_ok=True)
        ours = {"RINGFENCE_ENUM_JOURNAL_STAGE": str(data / "stage"), "RINGFENCE_EDGE_HEARTBEAT_S": "0.1"}
        command = ["enum", "--data", str(data), "--listen", listen, *flags]
        self.process = SERVERS.start(command, environment(**ours | settings))
        wait_until(self._is_up, "the ENUM server writes its addresses", 90)
        self.addresses = json.loads(self.address_file.read_text())

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.process.said()
        return self.address_file.exists()

    def ask(self, count: int = 1) -> str:
        host, port = self.addresses["listen"][0].rsplit(":", 1)
        query = dns.message.make_query("0.0.1.0.5.5.5.0.1.2.1.e164.internal", "NAPTR")
        for _ in range(count):
            answer = dns.query.udp(query, host, port=int(port), timeout=5)
        return answer.answer[0].to_text()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.addresses['metrics']}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, sample: str) -> float:
        """The value of one sample of /metrics, 0 when there is none."""
        lines = (line.rpartition(" ") for line in self.get("/metrics")[1].splitlines())
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(20)
        self.said = self.process.said()
        return status

    def events(self) -> pa.Table:
        """Every event of the first stream, once it has stopped."""
        journal = open_journal(str(self.data / "enum" / "journal"), str(self.data / "stage"))
        try:
            assert journal.close()
            tables, following = [], 1
            while (batch := journal.read(0, following, 100_000)) is not None:
                following = batch[1] + 1
                tables.append(pa.ipc.open_stream(io.BytesIO(batch[2])).read_all())
            return pa.concat_tables(tables)
        finally:
            del journal

    def journaled(self) -> int:
        journal = open_journal(str(self.data / "enum" / "journal"), str(self.data / "stage"))
        try:
            # Closing makes durable what the stage still held.
            assert journal.close()
            return sum(stream[2] for stream in journal.streams())
        finally:
            del journal
