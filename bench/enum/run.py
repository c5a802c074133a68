"""`make bench-enum`: the ENUM server beside NSD, Knot, dnsdist and a bare responder, on one machine in one run.

Every server answers the same queries with the same records (`data.py`), pinned to processor 0, the client to
processor 1. Medians of five short runs. What each row means stands in docs/performance.md. The last line is
`RESULT {json}`; the exit status is 0 whatever the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)

from bench.enum import dynamic_entry  # noqa: E402
from bench.enum.data import ANSWER, Data, add_dynamic_list, prepare  # noqa: E402
from bench.enum.servers import Dnsdist, Floor, Knot, Nsd, Ringfence, Server, ask  # noqa: E402
from bench.report import Row, finish, install, row  # noqa: E402

ENTRIES = 1_000_000
DYNAMIC_ENTRIES = 100_000  # the most that all dynamic lists may hold together
WINDOW = 256
CLIENT = ROOT / "target" / "dist" / "enum-load"
KINDS: tuple[type[Server], ...] = (Ringfence, Floor, Nsd, Knot, Dnsdist)
# Program → Debian package. cdb writes the table that dnsdist looks up.
PEERS = {"nsd": "nsd", "knotd": "knot", "dnsdist": "dnsdist", "cdb": "tinycdb"}
SETTLE_S = 0.3
PROCESSORS = os.cpu_count() or 1
# Of each run: processors that others kept busy meanwhile. Rates and latencies mean little when it is not near nought.
FOREIGN: list[float] = []


@dataclass
class Figures:
    """What was measured of one server: medians, and the sums of what must be nought."""

    cpu_us: float = float("nan")
    rate: dict[int, float] = field(default_factory=dict)
    p99_us: float = float("nan")
    lost: int = 0
    bad: int = 0


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    passes: int
    seconds: float


def main() -> int:
    """Measure, print the table, end with the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pass of one second")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "bench-enum", help="folder for generated files")
    parser.add_argument("--entries", type=int, default=ENTRIES, help="numbers in the zones and in the list")
    options = parser.parse_args()
    plan = Plan(1, 1.0) if options.quick else Plan(5, 1.5)
    say("peers that are missing are installed where that is possible")
    install(PEERS)
    say("building the client and the floor")
    subprocess.run(
        ["cargo", "build", "--quiet", "--profile", "dist", "--locked", "-p", "ringfence-bench-enum"],
        cwd=ROOT,
        check=True,
    )
    say(f"preparing {options.entries:,} numbers")
    data = prepare(options.work, options.entries)
    figures: dict[str, Figures] = {}
    missing = []
    for kind in KINDS:
        if not kind.is_available():
            missing.append(kind.name)
            continue
        figures[kind.name] = measure_server(kind, data, options.work / "run", plan)
    switch = measure_switch(data, options.work / "run", figures, plan) if "ringfence" in figures else {}
    rows = make_rows(figures, switch)
    rows += more_rows(data, options.work / "run", figures, plan)
    say("ringfence: one more number on a dynamic list")
    seen_ms = dynamic_entry.measure(data)["median_ms"]
    goal_ms = dynamic_entry.GOAL_MS
    rows.append(
        row("dynamic entry (+1 number) visible at the edge (ms)", seen_ms, {}, f"< {goal_ms} ms", seen_ms < goal_ms)
    )
    foreign = round(statistics.median(FOREIGN), 2) if FOREIGN else 0.0
    finish("enum", rows, missing, foreign_processors=foreign)
    print(f"Processors kept busy by others meanwhile: {foreign:.2f} of {PROCESSORS}", file=sys.stderr)
    return 0


def measure_server(kind: type[Server], data: Data, folder: Path, plan: Plan) -> Figures:
    """One worker: processor time, maximum, latency at half of it. Two workers: maximum."""
    figures = Figures()
    say(f"{kind.name}: starting")
    with kind(data, folder, 1, "0") as server:
        check_answers(server, data)
        runs = repeat(plan, server, lambda: load(server, data, plan.seconds, "--window", str(WINDOW)), figures)
        figures.cpu_us = statistics.median(run["cpu_us"] for run in runs)
        figures.rate[1] = statistics.median(run["rate"] for run in runs)
        half = figures.rate[1] / 2
        runs = repeat(plan, server, lambda: load(server, data, plan.seconds, "--rate", f"{half:.0f}"), figures)
        figures.p99_us = statistics.median(run["p99_us"] for run in runs)
    with kind(data, folder, 2, "0,1" if PROCESSORS < 3 else "0,2") as server:
        client = "0,1" if PROCESSORS < 3 else "1"
        runs = repeat(
            plan, server, lambda: load(server, data, plan.seconds, "--window", str(WINDOW), client=client), figures
        )
        figures.rate[2] = statistics.median(run["rate"] for run in runs)
    say(
        f"{kind.name}: {figures.cpu_us:.2f} CPU-µs a query, {figures.rate[1]:,.0f} and {figures.rate[2]:,.0f} a "
        f"second, p99 {figures.p99_us:.0f} µs at half, {figures.lost} lost, {figures.bad} bad"
    )
    return figures


def repeat(plan: Plan, server: Server, run: Callable[[], dict[str, Any]], figures: Figures) -> list[dict[str, Any]]:
    """The runs of one figure; queries lost and bad answers are summed."""
    runs = []
    for _ in range(plan.passes):
        runs.append(run())
        figures.lost += runs[-1]["lost"]
        figures.bad += runs[-1]["bad"]
        server.between_runs()
    return runs


def load(server: Server, data: Data, seconds: float, *how: str, client: str = "1") -> dict[str, Any]:
    """One run of the client; adds the server's processor time for each answer."""
    time.sleep(SETTLE_S)
    before, machine, children = server.cpu_seconds(), busy_seconds(), children_seconds()
    command = [
        "taskset", "-c", client, str(CLIENT), "--server", f"127.0.0.1:{server.port}", "--queries", str(data.queries),
        "--seconds", str(seconds), "--sockets", "8", *how,
    ]  # fmt: skip
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(output)
    used = server.cpu_seconds() - before
    result["cpu_us"] = used * 1e6 / max(1, result["answered"])
    FOREIGN.append(max(0.0, busy_seconds() - machine - used - (children_seconds() - children)) / result_seconds(result))
    return result


def busy_seconds() -> float:
    """Processor time spent so far by everything on this machine."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """Processor time of this process's finished children: the client."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def result_seconds(result: dict[str, Any]) -> float:
    """Duration of a run; never nought."""
    return max(float(result["seconds"]), 0.1)


def check_answers(server: Server, data: Data) -> None:
    """A server that gives wrong answers is not measured."""
    content = data.queries.read_bytes()
    numbers = data.load_numbers()
    at = 0
    for number in numbers[:200]:
        length = int.from_bytes(content[at : at + 2], "big")
        answer = ask(server.port, content[at + 2 : at + 2 + length])
        if ANSWER.format(number).encode() not in answer:
            raise RuntimeError(f"{server.name} answers {answer!r} for {number}")
        at += 2 + length


def measure_switch(data: Data, folder: Path, figures: dict[str, Figures], plan: Plan) -> dict[str, float]:
    """Install another policy of a million entries while queries come in at half of the maximum."""
    say("ringfence: switching policy under load")
    rate = figures["ringfence"].rate[1] / 2
    found: dict[str, list[float]] = {"lost": [], "p999_us": [], "max_us": [], "install_s": []}
    with Ringfence(data, folder, 1, "0") as server:
        footprint = server.tell(f"footprint {data.policy(2)}")
        for turn in range(plan.passes):
            version = 2 - turn % 2
            installed: dict[str, Any] = {}

            def install(version: int = version, installed: dict[str, Any] = installed) -> None:
                time.sleep(1.0)
                installed.update(server.tell(f"install {data.policy(version)}"))

            thread = threading.Thread(target=install)
            thread.start()
            result = load(server, data, 4.0, "--rate", f"{rate:.0f}")
            thread.join()
            server.between_runs()
            if installed.get("version") != version:
                raise RuntimeError(f"the switch did not happen: {installed}")
            for name in ("lost", "p999_us", "max_us"):
                found[name].append(result[name])
            found["install_s"].append(installed["took_s"])
    return {
        "lost": sum(found["lost"]),
        "p999_us": statistics.median(found["p999_us"]),
        "max_us": statistics.median(found["max_us"]),
        "install_s": statistics.median(found["install_s"]),
        "compile_s": footprint["compile_s"],
        "entry_bytes": footprint["bytes"] / data.entries,
    }


def make_rows(figures: dict[str, Figures], switch: dict[str, float]) -> list[Row]:
    """Rows of the table: ours, the peers', the goal, and whether it is met."""
    ours = figures.get("ringfence")
    if ours is None:
        return []
    peers = {name: found for name, found in figures.items() if name != "ringfence"}
    rows = [cpu_row(ours, peers), lost_row(ours, peers)]
    rows += [rate_row(ours, peers, workers) for workers in (1, 2)]
    rows.append(latency_row(ours, peers))
    for name, unit, key, limit in (
        ("policy switch under load: queries lost", "", "lost", 0),
        ("policy switch under load: p99.9", "µs", "p999_us", 5000),
        ("policy compile", "s", "compile_s", 1.0),
        ("policy memory an entry", "bytes", "entry_bytes", 200),
    ):
        goal = "0" if limit == 0 else f"< {limit:g} {unit}".rstrip()
        value = switch[key]
        rows.append(row(name, value, {}, goal, value < limit if limit else value == 0))
    return rows


def more_rows(data: Data, folder: Path, figures: dict[str, Figures], plan: Plan) -> list[Row]:
    """Ours at the rate that NSD was measured at, and with dynamic lists as full as they may be."""
    ours, nsd = figures.get("ringfence"), figures.get("nsd")
    if ours is None:
        return []
    rows = []
    with Ringfence(data, folder, 1, "0") as server:
        if nsd is not None:
            say("ringfence: latency at half of NSD's maximum")
            same = Figures()
            half = f"{nsd.rate[1] / 2:.0f}"
            runs = repeat(plan, server, lambda: load(server, data, plan.seconds, "--rate", half), same)
            p99_us = statistics.median(run["p99_us"] for run in runs)
            name = f"p99 latency at half of NSD's maximum, {nsd.rate[1] / 2:,.0f} a second (µs)"
            rows.append(row(name, p99_us, {"nsd": nsd.p99_us}, "not above NSD's", p99_us <= nsd.p99_us))
        say(f"ringfence: {DYNAMIC_ENTRIES:,} dynamic entries")
        policy, entries = add_dynamic_list(data.policy(1).read_bytes(), DYNAMIC_ENTRIES)
        (folder / "policy.json").write_bytes(policy)
        (folder / "entries.json").write_bytes(entries)
        server.tell(f"entries {folder / 'entries.json'}")
        server.tell(f"install {folder / 'policy.json'}")
        check_answers(server, data)
        runs = repeat(plan, server, lambda: load(server, data, plan.seconds, "--window", str(WINDOW)), Figures())
        cpu_us = statistics.median(run["cpu_us"] for run in runs)
        name = f"CPU per query with {DYNAMIC_ENTRIES:,} dynamic entries (µs)"
        peers = {name: found.cpu_us for name, found in figures.items() if name not in ("ringfence", "floor")}
        rows.append(row(name, cpu_us, peers, "below every peer", all(cpu_us < value for value in peers.values())))
    return rows


def cpu_row(ours: Figures, peers: dict[str, Figures]) -> Row:
    """CPU per query: below every peer, and near the floor."""
    figures = {name: found.cpu_us for name, found in peers.items()}
    servers = [value for name, value in figures.items() if name != "floor"]
    ok = all(ours.cpu_us < value for value in servers) and ours.cpu_us <= 1.2 * figures.get("floor", float("nan"))
    return row("CPU per query (µs)", ours.cpu_us, figures, "below every peer and ≤ 1.2 × floor", ok)


def lost_row(ours: Figures, peers: dict[str, Figures]) -> Row:
    """Queries without an answer, or with a wrong one, over all runs."""
    figures = {name: float(found.lost + found.bad) for name, found in peers.items()}
    return row(
        "queries lost or answered wrong, all runs", ours.lost + ours.bad, figures, "0", ours.lost + ours.bad == 0
    )


def rate_row(ours: Figures, peers: dict[str, Figures], workers: int) -> Row:
    """Queries a second at zero loss."""
    figures = {name: found.rate[workers] for name, found in peers.items()}
    goals = {"dnsdist": 1.3, "knot": 1.5}
    ok = ours.lost == 0 and all(
        ours.rate[workers] >= factor * figures[n] for n, factor in goals.items() if n in figures
    )
    name = f"queries a second at zero loss, {workers} worker{'s' if workers > 1 else ''}"
    return row(name, ours.rate[workers], figures, "≥ 1.3 × dnsdist, ≥ 1.5 × Knot", ok)


def latency_row(ours: Figures, peers: dict[str, Figures]) -> Row:
    """p99 with each server at half of its own maximum."""
    figures = {name: found.p99_us for name, found in peers.items()}
    ok = "nsd" not in figures or ours.p99_us <= figures["nsd"]
    return row("p99 latency at half of the maximum (µs)", ours.p99_us, figures, "not above NSD's", ok)


def say(text: str) -> None:
    """Progress, to standard error."""
    print(f"bench-enum: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
