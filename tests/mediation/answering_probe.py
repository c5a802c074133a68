"""A probe that keeps messages and answers for them, without the data plane around it; and a call that it saw."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.capture.messages import CALLED, CALLER, START_US, one_call
from tests.ingest.sip_samples import sip_upload

from ringfence.database.connection import Database
from ringfence.edge.evidence import Evidence
from ringfence.edge.evidence_answers import EvidenceAnswers
from ringfence.edge.mediation_client import MediationClient
from ringfence.mediation.devices import register_device
from ringfence.mediation.ingest.store import Ingest

CALL_ID = "a84b4c76e66710@192.0.2.1"


@dataclass
class Probe:
    """A probe that keeps messages and answers for them, without the data plane around it."""

    address: str
    credential: str
    file: Path
    evidence: Evidence | None = None

    @contextmanager
    def answering(self, address: str | None = None) -> Iterator[None]:
        """While it runs; at another mediation of the database where one is named."""
        loop = asyncio.new_event_loop()
        client = MediationClient((address or self.address,), self.credential)
        answers = EvidenceAnswers(self.file, self.evidence, poll_s=20.0)

        async def run() -> None:
            tasks = [asyncio.create_task(answers.run(client))]
            if self.evidence is not None:
                tasks.append(asyncio.create_task(self.evidence.keep(list)))
            try:
                await asyncio.gather(*tasks)
            except asyncio.CancelledError:
                pass
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await client.close()

        running = loop.create_task(run())
        thread = threading.Thread(target=loop.run_until_complete, args=(running,))
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(running.cancel)
            thread.join(20)
            loop.close()

    def keep(self, messages: list[dict[str, Any]]) -> None:
        """Put a call on the probe's disk, as its data plane gives it."""
        assert self.evidence is not None
        ladder = {
            "call_id": CALL_ID,
            "time_us": messages[0]["time_us"],
            "messages": {"messages": messages, "left_out": 0},
        }
        self.evidence.add([json.dumps(ladder)], time.time())


def messages_of(call: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a call of the call log, at its time."""
    shift = int(datetime.fromisoformat(call["time"]).timestamp() * 1_000_000) - START_US
    return [message | {"time_us": message["time_us"] + shift} for message in one_call(CALL_ID)]


def record_call(database: Database, name: str) -> str:
    """Register a probe that is heard of for an hour to come, with the record of a call that it saw; its credential."""
    begin = datetime.now(UTC).replace(microsecond=250_000) - timedelta(minutes=3)
    (source, _), (destination, _) = (end.rsplit(":", 1) for end in (CALLER, CALLED))
    leg = {
        "time": begin, "call_id": CALL_ID, "source_raw": "+442079460000", "destination_raw": "+12105550123",
        "source_address": source, "destination_address": destination, "destination_port": 5060, "pdd_ms": 100,
        "answer_ms": 500, "duration_ms": 2000, "total_ms": 2510,
    }  # fmt: skip
    with database.connection() as connection:
        device, credential = register_device(connection, name, "probe", None, "test")
        connection.execute(
            "UPDATE device SET last_seen_at = now() + interval '1 hour' WHERE device_id = %s", (device.device_id,)
        )
    Ingest(database).accept(device.device_id, "sip", 5, 0, sip_upload([leg]), datetime.now(UTC))
    return credential
