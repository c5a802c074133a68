"""A capture file becomes calls: from Python, from the command line, and over the API (E10)."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.capture.messages import START_US, one_call
from tests.mediation_server import RunningMediation

from ringfence.acceptance.lab.kamailio.running import deadline
from ringfence.capture.pcap import write_pcap
from ringfence.capture.reading import CaptureOptions, read_capture
from ringfence.capture.summary import Summary
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.vocabulary import Role

SITE = Site("main", "US", ("+12105550000-+12105559999",))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    file = tmp_path / "one.pcap"
    file.write_bytes(write_pcap(one_call()))
    return file


def calls_of(path: Path, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    read_capture(str(path), CaptureOptions(SITE, **options), lambda texts: found.extend(map(json.loads, texts)))
    return found


def test_a_call_is_read_with_times_numbers_and_direction(capture: Path) -> None:
    (call,) = calls_of(capture)
    assert (call["result"], call["status"], call["released_by"]) == ("answered", 200, "destination")
    assert call["times"]["start_us"] == START_US
    assert (call["post_dial_delay_us"], call["setup_us"], call["duration_us"]) == (100_000, 500_000, 2_000_000)
    assert call["numbers"] == {
        "source": 442079460000,
        "source_class": "number",
        "destination": 12105550123,
        "destination_class": "number",
        "direction": "inbound",
    }
    assert "messages" not in call


def test_the_trunk_side_decides_the_direction_first(capture: Path) -> None:
    (call,) = calls_of(capture, trunk_networks=("192.0.2.2/32",))
    assert call["numbers"]["direction"] == "outbound"


def test_messages_come_along_when_asked_for(capture: Path) -> None:
    (call,) = calls_of(capture, with_messages=True)
    assert [message["text"].split("\r\n")[0] for message in call["messages"]] == [
        message["text"].split("\r\n")[0] for message in one_call()
    ]


def test_a_packed_capture_and_a_cut_one_are_read(capture: Path, tmp_path: Path) -> None:
    packed = tmp_path / "one.pcap.gz"
    packed.write_bytes(gzip.compress(capture.read_bytes()))
    assert len(calls_of(packed)) == 1
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-7])
    assert len(calls_of(cut)) == 1


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a capture at all")
    with pytest.raises(InvalidInputError, match="not a capture"):
        calls_of(file)
    with pytest.raises(NotFoundError, match="no such file"):
        calls_of(tmp_path / "nothing")


def test_what_the_taker_raises_ends_the_reading(capture: Path) -> None:
    def refuse(_texts: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_capture(str(capture), CaptureOptions(), refuse)


def test_a_summary_counts_what_was_read(capture: Path) -> None:
    summary = Summary()
    for call in calls_of(capture):
        summary.add(call)
    figures = summary.as_json()
    assert (figures["calls"], figures["results"]) == (1, {"answered": 1})
    assert (figures["average_duration_ms"], figures["average_pdd_ms"]) == (2000.0, 100.0)
    assert (figures["average_mos"], figures["calls_with_audio"]) == (None, 0)


def test_the_command_prints_a_line_for_each_call_or_a_summary(capture: Path, tmp_path: Path) -> None:
    def run(*words: str, stdin: bytes = b"") -> str:
        command = [sys.executable, "-m", "ringfence", "probe", "read", *words, "--data", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, input=stdin, timeout=60, check=True)
        return done.stdout.decode()

    lines = run(str(capture), "--json").splitlines()
    assert [json.loads(line)["result"] for line in lines] == ["answered"]
    assert run("-", "--json", stdin=capture.read_bytes()).splitlines()[0][:60] == lines[0][:60]
    table = run(str(capture))
    assert "+442079460000" in table
    assert "2.000 s" in table


@pytest.fixture
def mediation(database: Database, tmp_path: Path) -> Iterator[RunningMediation]:
    with RunningMediation(database, tmp_path / "mediation") as running:
        yield running


def finished(client: httpx.Client, job: str) -> dict[str, Any]:
    for _ in deadline(60, step_s=0.05):
        state: dict[str, Any] = client.get(f"jobs/{job}").json()
        if state["state"] not in ("queued", "running"):
            return state
    raise AssertionError("the job did not end")


def test_an_uploaded_capture_is_shown_to_its_owner_and_leaves_nothing_behind(
    mediation: RunningMediation, capture: Path
) -> None:
    client = mediation.client(Role.ANALYST)
    started = client.post("captures", params={"name": "one.pcap"}, content=capture.read_bytes())
    assert started.status_code == 202
    job = finished(client, started.json()["id"])
    assert job["state"] == "done", job
    result = job["result"]
    assert (result["name"], result["calls_left_out"]) == ("one.pcap", 0)
    (call,) = result["calls"]
    assert (call["source"], call["destination"], call["result"]) == ("+442079460000", "+12105550123", "answered")

    base = f"captures/{result['capture']}/calls/0"
    messages = client.get(f"{base}/messages").json()["messages"]
    assert messages[0]["text"].startswith("INVITE ")
    ladder = client.get(f"{base}/ladder.svg")
    assert ladder.headers["content-type"] == "image/svg+xml"
    assert "<script" not in ladder.text
    exported = client.get(f"{base}/messages.pcap").content
    assert exported[:4] == b"\xd4\xc3\xb2\xa1"

    other = mediation.client(Role.ADMINISTRATOR)
    assert other.get(f"{base}/messages").status_code == 403
    assert client.get(f"captures/{result['capture']}/calls/1/messages").status_code == 404
    assert not list((mediation.settings.data / "captures").iterdir())
    assert client.get("events", params={"dataset": "sip"}).json()["calls"] == []


def test_an_upload_that_is_no_capture_is_refused_by_its_job(mediation: RunningMediation) -> None:
    client = mediation.client(Role.ANALYST)
    job = finished(client, client.post("captures", content=b"not a capture").json()["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "invalid")
    assert client.post("captures", content=b"").status_code == 400
    assert mediation.client(Role.VIEWER).post("captures", content=b"x").status_code == 403
