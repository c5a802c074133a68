"""Captures that people upload: read by the probe's engine as a job, shown to their owner, stored nowhere.

upload ─► file in the data folder ─► job: read, summarise ─► result: summary and calls ─► forgotten with the job
                 └─ removed as soon as it is read      └─► messages of calls: here, in memory, for the owner alone
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from ringfence.capture.reading import CaptureCall, CaptureOptions, read_capture
from ringfence.capture.summary import Summary, number_of, worst_mos
from ringfence.errors import ForbiddenError, InvalidInputError, NotFoundError
from ringfence.mediation.jobs import Job, Jobs, Progress

KIND = "capture"
# Largest upload, octets; a larger file is for `ringfence probe read`.
MAX_BYTES = 256 << 20
# A packed file may hold a thousand times as much: where the reading of one ends.
MAX_FRAMES = 50_000_000
MAX_READ_S = 600.0
# Calls that a result lists, and octets of messages that are kept of one capture and of all.
MAX_CALLS = 2_000
MAX_MESSAGE_BYTES = 16 << 20
MAX_KEPT_BYTES = 64 << 20

# A file older than this is nobody's any more: jobs are read long before.
LEFT_BEHIND_S = 6 * 3600.0

log = structlog.get_logger()


@dataclass
class HeldCapture:
    """The messages of a capture's listed calls."""

    owner: str
    ladders: list[list[dict[str, Any]]] = field(default_factory=list)
    octets: int = 0


class Captures:
    """Uploaded captures of one mediation process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: OrderedDict[str, HeldCapture] = OrderedDict()
        self._lock = threading.Lock()

    def new_file(self) -> Path:
        """Where an upload is written; only this process' owner reads it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep(time.time() - LEFT_BEHIND_S)
        file = self._folder / f"{secrets.token_hex(12)}.upload"
        file.touch(mode=0o600)
        return file

    def start(self, jobs: Jobs, owner: str, name: str, file: Path, options: CaptureOptions) -> Job:
        """Read an uploaded file as a job, and remove it. The job's result names the capture."""
        capture = secrets.token_urlsafe(9)

        def work(progress: Progress) -> dict[str, Any]:
            try:
                return self._read(capture, owner, name, file, options, progress)
            finally:
                file.unlink(missing_ok=True)

        try:
            return jobs.start(KIND, owner, work)
        except BaseException:
            file.unlink(missing_ok=True)
            raise

    def messages(self, capture: str, call: int, person: str) -> list[dict[str, Any]]:
        """The messages of a listed call. NotFoundError: they are not kept; ForbiddenError for anybody but the owner."""
        with self._lock:
            held = self._held.get(capture)
            if held is None or not 0 <= call < len(held.ladders):
                raise NotFoundError(f"capture {capture!r} has no call {call}, or is not kept any more; upload it again")
            if held.owner != person:
                raise ForbiddenError(f"capture {capture} is {held.owner}'s; upload the file to see its messages")
            self._held.move_to_end(capture)
            return held.ladders[call]

    def _sweep(self, before: float) -> None:
        """Remove what a process that died, or a job that was cancelled in line, left on the disk."""
        for file in self._folder.glob("*.upload"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    file.unlink()

    def _read(
        self, capture: str, owner: str, name: str, file: Path, options: CaptureOptions, progress: Progress
    ) -> dict[str, Any]:
        summary, calls, held = Summary(), list[dict[str, Any]](), HeldCapture(owner)
        size = file.stat().st_size

        def take(texts: Iterable[str]) -> None:
            for text in texts:
                call = json.loads(text)
                summary.add(call)
                if len(calls) < MAX_CALLS:
                    calls.append(_listed(len(calls), call))
                    _hold(held, call.get("messages", []))

        began = time.monotonic()

        def tell(octets: int, frames: int) -> None:
            if frames > MAX_FRAMES or time.monotonic() - began > MAX_READ_S:
                raise InvalidInputError(
                    f"capture: is unpacked too large to be read here ({frames:,} packets so far); "
                    "`ringfence probe read` takes any size"
                )
            progress.at(octets, size, f"{frames:,} packets")

        outcome = read_capture(str(file), options, take, tell)
        self._keep(capture, held)
        log.info("capture.read", owner=owner, octets=size, calls=summary.calls)
        return {
            "capture": capture,
            "name": name,
            "octets": size,
            "summary": summary.as_json(),
            "calls": calls,
            "calls_left_out": summary.calls - len(calls),
            "outcome": outcome,
        }

    def _keep(self, capture: str, held: HeldCapture) -> None:
        with self._lock:
            self._held[capture] = held
            while sum(one.octets for one in self._held.values()) > MAX_KEPT_BYTES:
                self._held.popitem(last=False)


def _hold(held: HeldCapture, messages: list[dict[str, Any]]) -> None:
    octets = sum(len(message["text"]) for message in messages)
    has_room = held.octets + octets <= MAX_MESSAGE_BYTES
    held.ladders.append(messages if has_room else [])
    held.octets += octets if has_room else 0


def _listed(index: int, call: CaptureCall) -> dict[str, Any]:
    """A call of a result: what a table shows."""
    return {
        "index": index,
        "time_us": call["times"]["start_us"],
        "source": number_of(call, "source"),
        "destination": number_of(call, "destination"),
        "direction": call.get("numbers", {}).get("direction", "unknown"),
        "result": call["result"],
        "status": call["status"],
        "released_by": call["released_by"] or "none",
        "post_dial_delay_us": call["post_dial_delay_us"],
        "setup_us": call["setup_us"],
        "duration_us": call["duration_us"],
        "mos": worst_mos(call),
        "codec": call["codec"],
        "flags": call["flags"],
        "call_id": call["call_id"],
        "messages": len(call.get("messages", [])),
    }
