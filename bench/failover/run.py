"""Failover of a pair with ten million events under load, in both modes, and its backup: `make bench-failover`.

    first is active, second streams, 500 calls a second ─► first's site goes dark ─► `ringfence failover` on second
    ─► first becomes second's standby of backups: one backup, then ten minutes' calls and some changes
    ─► second's site goes dark ─► `ringfence failover` on first

What every SBC was answered is compared, question by question, with the rows of the pair that is active afterwards.
Before that, on first: a backup beside pg_dump (`backup.py`). Ends with the RESULT line.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.failover.backup import beside_pg_dump, told
from bench.failover.deployment import COMMAND_S, Deployment, deployed, fill, private, retire_devices
from bench.failover.outage import Outage, lose_site
from bench.failover.sbc import Sbcs
from bench.report import Row, finish, row, table
from tests.system.running_node import eventually

from ringfence.database.embedded import EmbeddedServer

EVENTS = 10_000_000
RATE = 500.0
GOAL_S = 60.0
# Between the backup and the loss: so many minutes' calls, asked as fast as this, so that nobody waits that long.
MINUTES = 10.0
HASTE = 8.0
BEFORE_S = 10.0
CHANGES = ("north", "south", "west")
_LOOK_S = 5  # the standby asks for a newer backup, and for what was changed, so often


def main() -> None:
    """Measure, and print the table and the RESULT line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS, help="in the database")
    parser.add_argument("--rate", type=float, default=RATE, help="calls a second")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="calls after the backup, in minutes of them")
    parser.add_argument("--rounds", type=int, default=5, help="backups and dumps in turn; 0: none")
    parser.add_argument("--filled", type=Path, help="data folder with such a database, made if it is not there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ringfence-edges-") as folder, deployed() as deployment:
        rows = prepare(deployment, asked.events, asked.rounds, asked.filled)
        deployment.first.start()
        deployment.add_edges(Path(folder))
        outage = streaming(deployment, asked.rate)
        rows += of_outage("streaming", outage)
        outage = of_backups(deployment, asked.rate, asked.minutes, outage.next_call)
        rows += [*of_outage("backup", outage), *of_changes(outage)]
    finish("failover", rows, events=asked.events, rate=asked.rate, load=[round(one, 1) for one in os.getloadavg()])


def prepare(deployment: Deployment, events: int, rounds: int, filled: Path | None) -> list[Row]:
    """The first pair's database; backups of it, as long as nothing else runs."""
    settings = deployment.first.settings
    fill(settings, events, told, filled)
    server = EmbeddedServer(settings)
    server.start()
    try:
        retire_devices(server.url)
        return [beside_pg_dump(settings, server, rounds, events)[0]] if rounds else []
    finally:
        server.stop()


def streaming(deployment: Deployment, rate: float) -> Outage:
    """The second pair streams from the first, whose site is lost."""
    first, second = deployment.first, deployment.second
    told("second becomes first's streaming standby")
    second.cli(
        "standby", "init", deployment.ssh.host, "--mode", "streaming", "--ssh", deployment.ssh.command,
        "--command", first.there, timeout_s=COMMAND_S,
    )  # fmt: skip
    second.start(until="follows")
    eventually(lambda: second.json("standby", "status", status=None)["ok"], "the standby streams", 120)
    sbcs = Sbcs(deployment.addresses(), rate)
    with sbcs.calling():
        sbcs.wait_for(int(rate * BEFORE_S))
        return lose_site(deployment, sbcs, lost=first, standby=second, told=told)


def of_backups(deployment: Deployment, rate: float, minutes: float, first_call: int) -> Outage:
    """The first pair holds a backup of the second, which went on for ten minutes; then the second's site is lost."""
    first, second = deployment.first, deployment.second
    told("second makes a backup, first imports it")
    second.cli("backup", "--select", "database", "--select", "configuration", timeout_s=COMMAND_S)
    token = private(first.data / "token", deployment.token)
    every = ("--every", str(_LOOK_S))
    first.cli("standby", "init", second.url, "--token-file", str(token), "--replace", *every, timeout_s=COMMAND_S)
    first.cli("standby", "sync", timeout_s=COMMAND_S)
    first.start(until="follows")
    sbcs = Sbcs(deployment.addresses(), rate * HASTE, first_call)
    with sbcs.calling():
        told(f"the calls of {minutes:g} minutes, and {len(CHANGES)} changes")
        for name in CHANGES:
            second.cli("site", "add", name, "--country", "US")
        sbcs.wait_for(int(rate * 60 * minutes))
        sbcs.rate = rate
        eventually(
            lambda: len(first.json("standby", "status", status=None)["changes"] or ()) >= len(CHANGES),
            "the standby has heard of the changes", 60,
        )  # fmt: skip
        return lose_site(deployment, sbcs, lost=second, standby=first, told=told)


def of_outage(mode: str, outage: Outage) -> list[Row]:
    """What the goals ask of a failover, of whichever mode."""
    told(f"{mode}: {outage.command_s:.1f} s for the command, load {os.getloadavg()[0]:.1f}")
    by_server = ", ".join(f"{outage.unanswered[number]}" for number in range(outage.servers))
    rows = [
        row(f"{mode}: from the command to the first event at the new pair, s", outage.taking_s, {},
            f"< {GOAL_S:g} s", outage.taking_s < GOAL_S),
        row(f"{mode}: until the command ends, with all devices, s", outage.command_s, {}, "told", True),
        row(f"{mode}: until every answered question is stored there, s", outage.complete_s, {}, "told", True),
        row(f"{mode}: questions answered", outage.answered, {}, "told", True),
        row(f"{mode}: of these, events lost", outage.lost, {}, "0", outage.lost == 0),
        row(f"{mode}: events that are there twice, or that nobody asked for", outage.doubled + outage.unasked, {}, "0",
            outage.doubled + outage.unasked == 0),
        row(f"{mode}: questions unanswered by the server asked first (of each: {by_server})",
            sum(outage.unanswered.values()), {}, "0", not outage.unanswered),
        row(f"{mode}: calls that no server answered", outage.given_up, {}, "0", outage.given_up == 0),
    ]  # fmt: skip
    print(table(rows), file=sys.stderr, flush=True)  # what comes next takes minutes
    return rows


def of_changes(outage: Outage) -> list[Row]:
    """Every change after the backup is named in what the command said."""
    named = sum(f"site.add {name}" in outage.said for name in CHANGES)
    goal = f"all {len(CHANGES)} that are lost"
    return [row("backup: changes of configuration named by the command", named, {}, goal, named == len(CHANGES))]


if __name__ == "__main__":
    main()
