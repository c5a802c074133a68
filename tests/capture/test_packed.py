"""A small upload that unpacks to very much is given up, not read to its end."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from tests.mediation_server import wait_until

from ringfence.capture.reading import CaptureOptions
from ringfence.mediation import captures
from ringfence.mediation.captures import Captures
from ringfence.mediation.jobs import Jobs

PACKETS = 2_000_000


def test_a_packed_capture_is_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "MAX_FRAMES", 1000)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    packet = struct.pack("<IIII", 1, 0, 60, 60) + bytes(60)
    file = tmp_path / "bomb.upload"
    with gzip.open(file, "wb", compresslevel=1) as out:
        out.write(head)
        for _ in range(100):
            out.write(packet * (PACKETS // 100))
    assert file.stat().st_size < PACKETS * len(packet) / 50
    jobs = Jobs()
    try:
        job = Captures(tmp_path).start(jobs, "ana", "bomb.pcap.gz", file, CaptureOptions())
        wait_until(lambda: job.ended_at is not None, 60)
        assert "unpacked too large" in str(job.as_json()["error"])
        assert not file.exists()
    finally:
        jobs.close()
