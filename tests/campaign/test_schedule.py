"""A seed says all of a run, and the faults that the campaign names are real."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.campaign.machine import Clock, Disk, build_clock
from tests.campaign.schedule import (
    ACTIVE,
    BEGIN_S,
    KINDS,
    LONGEST_S,
    RUNS_A_FAILOVER,
    SERVERS,
    SITE,
    STANDBY,
    draw,
    in_words,
)


def test_a_seed_is_its_faults() -> None:
    assert in_words(draw(14)) == (
        "2.0 s cut active (refused) for 0.5 s; 4.2 s fill enum-1 for 1.7 s; "
        "4.3 s step the clock of enum-2 (+3600 s) for 2.7 s"
    )
    assert len({draw(seed) for seed in range(200)}) == 200


def test_two_hundred_seeds_hurt_everything_in_every_way() -> None:
    faults = [fault for seed in range(1, 201) for fault in draw(seed)]
    drawn = {(fault.kind, fault.target) for fault in faults}
    assert drawn == {
        *((kind, target) for kind in ("kill", "pause") for target in (*SERVERS, *SITE)),
        *(("cut", target) for target in (*SERVERS, ACTIVE, STANDBY)),
        *((kind, target) for kind in ("fill", "step") for target in (*SERVERS, ACTIVE)),
        ("failover", STANDBY),
    }
    assert {fault.kind for fault in faults} == set(KINDS)
    assert {fault.how for fault in faults if fault.kind == "cut"} == {"dark", "refused", "slow"}
    assert {fault.how for fault in faults if fault.kind == "failover"} == {"site lost", "site reached"}
    assert all(0 < fault.at_s <= BEGIN_S and fault.seconds <= LONGEST_S for fault in faults)
    failovers = sum(1 for fault in faults if fault.kind == "failover")
    assert 200 / RUNS_A_FAILOVER * 0.7 < failovers < 200 / RUNS_A_FAILOVER * 1.3


def test_a_stepped_clock_is_stepped_for_its_processes_alone(tmp_path: Path) -> None:
    clock = Clock(build_clock(tmp_path), tmp_path / "clock")
    script = "import datetime, time; print(time.time(), datetime.datetime.now().timestamp(), time.monotonic())"

    def told() -> list[float]:
        said = subprocess.check_output([sys.executable, "-S", "-c", script], env=os.environ | clock.environment)
        return [float(word) for word in said.split()]

    for step_s in (0, 86_400, -3600):
        clock.step(step_s)
        *walls, monotonic = told()
        assert walls == pytest.approx([time.time() + step_s] * 2, abs=30)
        assert monotonic == pytest.approx(time.monotonic(), abs=30)


def test_a_full_disk_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 1 << 20)
    if not disk.is_mounted:
        pytest.skip("no disk may be mounted here (needs root): the campaign bounds what processes write instead")
    try:
        disk.fill([])
        with pytest.raises(OSError, match="No space left") as full:
            (tmp_path / "file").write_bytes(b"x" * 8192)
        assert full.value.errno == errno.ENOSPC
        disk.free()
        (tmp_path / "file").write_bytes(b"x" * 8192)
    finally:
        disk.remove()


def test_where_no_disk_may_be_mounted_what_processes_write_is_bounded(tmp_path: Path) -> None:
    script = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "wb") as file:
            file.write(bytes(8192))
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""
    disk = Disk(tmp_path, 1 << 20, may_mount=False)
    command = [sys.executable, "-S", "-c", script, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        asked, answers = writer.stdin, writer.stdout
        assert asked is not None
        assert answers is not None

        def told() -> str:
            print("write", file=asked, flush=True)
            return answers.readline().strip()

        assert told() == "written"
        disk.fill([writer.pid])
        assert told() == "File too large"
        disk.free()
        assert told() == "written"
        asked.close()
