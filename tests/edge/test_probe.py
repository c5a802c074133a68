"""The probe as a process: HEP in, calls in the journal, what /metrics and the live table tell (R9, R10, E10)."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.capture.messages import one_call
from tests.edge.partners import wait_until
from tests.sbc.test_probe_calls import ProbeProcess

from ringfence._native import open_journal
from ringfence.edge.evidence import read_ladders

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def hep3_of(message: dict[str, Any]) -> bytes:
    """A SIP message as Kamailio's siptrace sends it, written independently of the code under test."""
    (source, source_port), (destination, destination_port) = (
        message[end].rsplit(":", 1) for end in ("source", "destination")
    )
    chunks = [
        (1, b"\x02"),
        (2, b"\x11"),
        (3, socket.inet_aton(source)),
        (4, socket.inet_aton(destination)),
        (7, struct.pack("!H", int(source_port))),
        (8, struct.pack("!H", int(destination_port))),
        (9, struct.pack("!I", message["time_us"] // 1_000_000)),
        (10, struct.pack("!I", message["time_us"] % 1_000_000)),
        (11, b"\x01"),
        (12, struct.pack("!I", 2001)),
        (15, message["text"].encode()),
    ]
    body = b"".join(struct.pack("!HHH", 0, kind, 6 + len(octets)) + octets for kind, octets in chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def fresh(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As if they were sent now."""
    shift = time.time_ns() // 1000 - 3_000_000 - messages[0]["time_us"]
    return [message | {"time_us": message["time_us"] + shift} for message in messages]


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[ProbeProcess]:
    running = ProbeProcess(tmp_path / "probe", "--hep-listen", "127.0.0.1:0")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def send(probe: ProbeProcess, messages: list[dict[str, Any]]) -> None:
    host, _, port = probe.addresses["hep"][0].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for message in messages:
            line.sendto(hep3_of(message), (host, int(port)))


def samples_of(probe: ProbeProcess) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{probe.addresses['metrics']}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_call_in_progress_is_shown_and_ends_in_the_journal(probe: ProbeProcess, tmp_path: Path) -> None:
    messages = fresh(one_call())
    send(probe, messages[:4])
    wait_until(lambda: samples_of(probe)["ringfence_probe_calls_in_progress"] == 1, "the call is in progress", 90)
    (live,) = json.loads(probe.cli("probe", "calls", "--json"))
    assert (live["parties"]["source"], live["flags"]) == ("+442079460000", ["in_progress"])
    assert "+442079460000" in probe.cli("probe", "calls", "--once")

    send(probe, messages[4:])
    wait_until(lambda: samples_of(probe)["ringfence_probe_sip_messages_total"] == 6, "all messages came", 90)
    probe.stop()
    journal = open_journal(str(tmp_path / "probe/probe/journal"), str(tmp_path / "probe/stage"))
    try:
        first_last_arrow = journal.read(0, 1, 10)
        assert first_last_arrow is not None
        table = pa.ipc.open_stream(first_last_arrow[2]).read_all()
    finally:
        journal.close()
    assert table.schema.metadata[b"ringfence.schema"] == b"sip.1"
    (call,) = table.to_pylist()
    assert (call["source_raw"], call["destination_raw"], call["result"]) == ("+442079460000", "+12105550123", 1)
    assert (call["pdd_ms"], call["answer_ms"], call["duration_ms"]) == (100, 500, 2000)
    assert json.loads(call["details"])["source_name"] == "<script>alert(1)</script>"


def test_metrics_are_those_documented_and_health_is_the_data_planes(probe: ProbeProcess) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split("## Probe\n")[1]
    named = set(re.findall(r"^\| `(ringfence_probe_\w+)", section, re.MULTILINE))
    shown = {name for name in samples_of(probe) if not name.endswith("_created")}
    way_up = {name for name in shown if re.match(r"ringfence_probe_(journal|uplink|clock|hep_sent)", name)}
    assert shown - way_up == named
    with urllib.request.urlopen(f"http://{probe.addresses['metrics']}/healthz", timeout=30) as answer:
        assert answer.read() == b"ok\n"


def test_messages_of_an_ended_call_are_kept_for_the_ladder(probe: ProbeProcess, tmp_path: Path) -> None:
    (call_id,) = {"ladder@192.0.2.1"}
    send(probe, fresh(one_call(call_id)))
    file = tmp_path / "probe/probe/evidence.sqlite"

    def is_kept() -> bool:
        try:
            return len(read_ladders(file, call_id)[0]["messages"]) == 6
        except Exception:  # not yet
            return False

    wait_until(is_kept, "the ladder is kept", 90)
    drawing = tmp_path / "ladder.svg"
    probe.cli("probe", "ladder", call_id, "--svg", str(drawing))
    assert "<script" not in drawing.read_text()
