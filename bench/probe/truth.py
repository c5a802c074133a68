"""What the probe found, compared with what the generator wrote."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol

from bench.report import Row, row

FIELDS = ("start_us", "answer_us", "end_us")
COUNTS = ("packets", "lost", "duplicates", "reordered")


class Captured(Protocol):
    """A capture and its truth."""

    @property
    def path(self) -> Path:
        """The capture."""

    @property
    def truth(self) -> Path:
        """Its truth, one JSON object a line."""


def rows(reader: Path, sip: Captured, media: Captured, hard: Captured) -> list[Row]:
    """Calls and fields, streams, hard cases."""
    found = []
    wrong, calls = compare_calls(reader, sip)
    found.append(count_row(f"SIP: of {calls:,} calls, wrong in any field", wrong))
    wrong, calls = compare_calls(reader, media)
    found.append(count_row(f"RTP: of {calls:,} calls, wrong in any field", wrong))
    wrong, streams, worst = compare_streams(reader, media)
    found.append(count_row(f"RTP: of {streams:,} streams, wrong in loss, copies or order", wrong))
    found.append(row("RTP: jitter, largest error (ms)", worst, {}, "< 0.01 ms", worst < 0.01))
    right, cases = compare_cases(reader, hard)
    found.append(row(f"hard cases fully right of {cases}", right, {}, f"{cases}", right == cases))
    return found


def count_row(name: str, wrong: int) -> Row:
    """A row that should be nought."""
    return row(name, wrong, {}, "0", wrong == 0)


def read(reader: Path, capture: Captured) -> dict[str, list[dict[str, Any]]]:
    """Records by Call-ID."""
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with subprocess.Popen([str(reader), str(capture.path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            record = json.loads(line)
            if "call_id" in record:
                records[record["call_id"]].append(record)
    return records


def true_lines(capture: Captured) -> list[dict[str, Any]]:
    """The truth's lines."""
    return [json.loads(line) for line in capture.truth.read_text().splitlines()]


def is_right(true: dict[str, Any], records: list[dict[str, Any]]) -> bool:
    """Whether a call's records say what is true."""
    if len(records) != true["records"]:
        return False
    record = min(records, key=lambda one: one["times"]["start_us"])
    times = record["times"]
    missed = true["start_us"] is None
    return (
        record["parties"]["source"] == true["source"]
        and record["parties"]["destination"] == true["destination"]
        and record["status"] == true["status"]
        and all(times[field] == true[field] for field in FIELDS if not (missed and field == "start_us"))
        and ("start_missed" in record["flags"]) == missed
        and all(record[key] == true[key] for key in ("released_by",) if key in true)
        and all(record["counts"][key] == true[key] for key in ("challenges", "reinvites") if key in true)
    )


def compare_calls(reader: Path, capture: Captured) -> tuple[int, int]:
    """Calls that are wrong, missing or too many; calls."""
    records = read(reader, capture)
    calls = [true for true in true_lines(capture) if "call_id" in true]
    wrong = sum(not is_right(true, records.pop(true["call_id"], [])) for true in calls)
    return wrong + len(records), len(calls)


def compare_streams(reader: Path, capture: Captured) -> tuple[int, int, float]:
    """Streams that are wrong; streams; the largest error of the jitter, milliseconds."""
    records = read(reader, capture)
    streams = [true["stream"] for true in true_lines(capture) if "stream" in true]
    wrong, worst = 0, 0.0
    for true in streams:
        found = records.get(true["call_id"])
        media = found[0]["media"][0 if true["is_forward"] else 1] if found else None
        if media is None or media["ssrc"] != true["ssrc"] or any(media[name] != true[name] for name in COUNTS):
            wrong += 1
            continue
        for name in ("mean", "max"):
            worst = max(worst, abs(media[f"jitter_{name}_us"] / 1000 - true[f"jitter_{name}_ms"]))
    return wrong, len(streams), worst


def compare_cases(reader: Path, capture: Captured) -> tuple[int, int]:
    """Hard cases of which every call is right; cases."""
    records = read(reader, capture)
    cases: dict[str, list[bool]] = defaultdict(list)
    for true in true_lines(capture):
        cases[true["case"]].append(is_right(true, records.get(true["call_id"], [])))
    return sum(all(results) for results in cases.values()), len(cases)
