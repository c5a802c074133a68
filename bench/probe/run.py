"""`make bench-probe`: the probe beside tshark, sngrep and sipgrep, on captures with known truth, on one processor.

Every program reads the same captures (`probe-generate`, seeded) from the page cache, pinned to processor 0. Peers read
smaller ones, being slow; the figure is processor time a packet, so they compare. What each row means stands in
docs/performance.md. The last line is `RESULT {json}`; the exit status is 0 whatever the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)

from bench.probe import live, truth  # noqa: E402
from bench.report import Row, finish, install, row  # noqa: E402

BIN = ROOT / "target" / "dist"
PEERS = ("tshark", "sngrep", "sipgrep")
PATIENCE_S = 90


@dataclass(frozen=True)
class Capture:
    """A generated capture."""

    kind: str
    path: Path
    truth: Path
    packets: int


@dataclass(frozen=True)
class Run:
    """What a run of a program took."""

    cpu_us: float
    rss_mb: float
    wall_s: float


def main() -> int:
    """Generate, measure, compare with the truth, print the table, end with the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small captures, one run of each")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "bench-probe", help="folder for captures")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    passes = 1 if options.quick else 5
    say("building the probe, the generator and the floor")
    build = ["cargo", "build", "--quiet", "--profile", "dist", "--locked", "-p", "ringfence-bench-probe"]
    subprocess.run(build, cwd=ROOT, check=True)
    install({name: name for name in PEERS})
    missing = [name for name in PEERS if shutil.which(name) is None]
    sizes = {"sip": 20_000, "media": 300} if options.quick else {"sip": 220_000, "media": 2_000}
    large = {kind: generate(kind, calls, options.work) for kind, calls in sizes.items()}
    small = {kind: generate(kind, calls, options.work) for kind, calls in {"sip": 20_000, "media": 300}.items()}
    hard = generate("hard", 0, options.work)
    rows: list[Row] = []
    for kind, goal in (("sip", 1.0), ("media", 0.15)):
        say(f"{kind}: {large[kind].packets:,} packets")
        ours = best([measure(reader(large[kind]), large[kind]) for _ in range(passes)])
        floor = best([measure([str(BIN / "probe-floor"), str(large[kind].path)], large[kind]) for _ in range(passes)])
        peers = {name: measure_peer(name, small[kind]) for name in PEERS if name not in missing}
        rows += rows_of(kind, goal, ours, floor, peers)
    rows += truth.rows(BIN / "probe-read", large["sip"], large["media"], hard)
    rows += live.rows(BIN, small["media"])
    finish("probe", rows, missing)
    return 0


def reader(capture: Capture) -> list[str]:
    """The probe on a capture, records made and counted, not printed."""
    return [str(BIN / "probe-read"), str(capture.path), "--quiet"]


def generate(kind: str, calls: int, folder: Path) -> Capture:
    """The capture of a kind and size, written anew: the generator may have changed."""
    path, true = folder / f"{kind}-{calls}.pcap", folder / f"{kind}-{calls}.jsonl"
    command = [str(BIN / "probe-generate"), kind, str(path), str(true), str(calls)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Capture(kind, path, true, json.loads(output)["packets"])


def measure(command: list[str], capture: Capture) -> Run:
    """One run on processor 0: processor time a packet, peak memory."""
    with capture.path.open("rb") as file:
        while file.read(1 << 22):
            pass
    started = time.monotonic()
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    while True:
        pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() - started > PATIENCE_S:
            process.kill()
        time.sleep(0.005)
    process.returncode = 0
    seconds = usage.ru_utime + usage.ru_stime
    return Run(seconds * 1e6 / capture.packets, usage.ru_maxrss / 1024, time.monotonic() - started)


def best(runs: list[Run]) -> Run:
    """The median of processor time; the largest memory."""
    return Run(
        statistics.median(run.cpu_us for run in runs),
        max(run.rss_mb for run in runs),
        statistics.median(run.wall_s for run in runs),
    )


def measure_peer(name: str, capture: Capture) -> Run | None:
    """A peer doing what comes nearest: calls for SIP, streams for media. None where it has no such thing."""
    path = str(capture.path)
    commands = {
        ("tshark", "sip"): ["tshark", "-n", "-q", "-r", path, "-z", "sip,stat"],
        ("tshark", "media"): ["tshark", "-n", "-q", "-r", path, "-o", "rtp.heuristic_rtp:TRUE", "-z", "rtp,streams"],
        ("sngrep", "sip"): ["sngrep", "-F", "-N", "-c", "-l", "400000", "-I", path],
        ("sngrep", "media"): ["sngrep", "-F", "-N", "-c", "-r", "-l", "400000", "-I", path],
        ("sipgrep", "sip"): ["sipgrep", "-C", "-G", "-I", path],
    }
    command = commands.get((name, capture.kind))
    if command is None:
        return None
    say(f"{capture.kind}: {name} on {capture.packets:,} packets")
    return measure(command, capture)


def rows_of(kind: str, goal: float, ours: Run, floor: Run, peers: dict[str, Run | None]) -> list[Row]:
    """The rows of a capture."""
    known = {name: run for name, run in peers.items() if run is not None}
    cpu = {"floor": round(floor.cpu_us, 4)} | {name: round(run.cpu_us, 2) for name, run in known.items()}
    memory = {"floor": round(floor.rss_mb, 1)} | {name: round(run.rss_mb, 1) for name, run in known.items()}
    name = {"sip": "SIP", "media": "RTP"}[kind]
    rows = [row(f"{name}: CPU a packet (µs)", round(ours.cpu_us, 4), cpu, f"≤ {goal} µs", ours.cpu_us <= goal)]
    for peer, run in known.items():
        ratio = round(run.cpu_us / ours.cpu_us, 1)
        rows.append(row(f"{name}: CPU, {peer} ÷ ringfence", ratio, {}, "> 1", ratio > 1))
    rows.append(row(f"{name}: peak memory (MB)", round(ours.rss_mb, 1), memory, "< 200 MB", ours.rss_mb < 200))
    return rows


def say(text: str) -> None:
    """A line of progress."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
