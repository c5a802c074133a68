"""The page followed from its first backup to its last failover, in the order in which an operator meets it.

    first is active ─► backups ─► second follows by backups over the API ─► first's site is lost: FAILOVER
    ─► first is back, is fenced, follows by streaming ─► FAILBACK ─► second streams ─► FAILOVER, the active reached
    ─► first follows by rsync over ssh ─► FAILOVER, the active reached ─► second streams ─► first is lost: FAILOVER

Calls go on at three ENUM servers with a probe each all the time; in the end every one stands in the books once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from tests.failover.trial import deployment
from tests.failover.trial.machines import Machine
from tests.failover.trial.trial import Failed, Trial

NEEDED = ("unshare", "nsenter", "ip", "ss", "sshd", "ssh-keyscan", "rsync", "runuser", "useradd", "usermod", "pgrep")
FOLLOWS = "follows"
SERVES = "Ctrl-C stops"


def main() -> int:
    """0: every promise was kept; 1: one was not; 2: the trial cannot be made here."""
    path = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if os.geteuid() != 0 or missing:
        print(f"trial: needs root and {', '.join(missing or ['nothing else'])}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the machines go with us
    folder = Path(tempfile.mkdtemp(prefix="ringfence-trial-"))
    folder.chmod(0o755)
    bridge, machines = deployment.machines(folder)
    trial = Trial(bridge, machines[0], machines[1], machines[2:])
    try:
        follow_the_page(trial)
    except Failed as reason:
        print(f"\nFAILED: {reason}", flush=True)
        _show_logs(machines)
        return 1
    except Exception:
        traceback.print_exc()
        _show_logs(machines)
        return 1
    finally:
        for caller in trial.callers:
            caller.kill()
        for machine in machines:
            machine.power_cut()
        bridge.namespaces.end()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nThe page holds: {len(trial.typed)} commands as they stand there, five takeovers.", flush=True)
    return 0


def follow_the_page(trial: Trial) -> None:
    """The whole of it."""
    first, second = trial.first, trial.second
    deployment.install_first(trial)
    deployment.enrol_edges(trial)
    deployment.start_calls(trial)
    make_backups(trial)
    prepare_ssh(trial)
    follow_by_backups(trial)
    lose_the_site(trial, first, second)

    old_pair_follows(trial, first)
    trial.expect("This pair is active", trial.do(first, "fail back"))
    check_books(trial, first)

    point_active(trial, first)
    trial.do(second, "follow by streaming", more=" --replace")
    follow(trial, second, "run the streaming standby")
    fail_over(trial, second)

    point_active(trial, second)
    trial.do(first, "follow by rsync", more=" --replace")
    trial.expect("database, configuration", trial.do(second, "backup"))
    trial.do(first, "first copy")
    follow(trial, first, "run the standby")
    fail_over(trial, first)

    point_active(trial, first)
    trial.do(second, "follow by streaming", more=" --replace")
    follow(trial, second, "run the streaming standby")
    lose_the_site(trial, first, second)
    end(trial, second)


def make_backups(trial: Trial) -> None:
    """What the page says of them, on the active."""
    trial.do(trial.first, "backup")
    for name in ("list backups", "verify backups", "log of backups", "dry run of a restore"):
        trial.do(trial.first, name)


def prepare_ssh(trial: Trial) -> None:
    """Both ways."""
    pair = (trial.first, trial.second)
    for machine in pair:
        for name in ("let the account in", "make its key", "give it its key", "tell sshd of keys"):
            trial.do(machine, name)
        machine.run("ssh-keygen -A; mkdir -p /run/sshd", "root")
        machine.start("/usr/sbin/sshd -D -e", "root")
    for machine, other in (pair, reversed(pair)):
        key = other.run("cat /etc/ringfence/standby_key.pub", "root").stdout.strip()
        trial.do(machine, "let the key in", ("ssh-ed25519 AAAA… standby", key))
    for machine, other in (pair, reversed(pair)):
        trial.do(machine, "know the other's host", ("active.example", f"{other.name}.example"))
        trial.do(machine, "try ssh", ("active.example", f"{other.name}.example"))


def follow_by_backups(trial: Trial) -> None:
    """Second follows first over its API."""
    point_active(trial, trial.first)
    token = re.search(r"rft?_\S+", trial.do(trial.first, "make a token"))
    shown = re.search(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", trial.do(trial.first, "ask for the fingerprint"))
    if token is None or shown is None:
        raise Failed("neither token nor fingerprint were shown")
    trial.second.write("/etc/ringfence/standby.token", token[0])
    trial.do(trial.second, "follow by backups", ("AB:CD:…", shown[0]))
    trial.do(trial.second, "first copy")
    follow(trial, trial.second, "run the standby")


def follow(trial: Trial, standby: Machine, name: str) -> None:
    """`ringfence up` on a standby, until all is well."""
    trial.run_node(standby, name, FOLLOWS)
    trial.wait_for(f"{standby.name} stands well", lambda: standby.run("ringfence standby status").returncode == 0, 120)
    trial.do(standby, "how it stands")


def lose_the_site(trial: Trial, lost: Machine, standby: Machine) -> None:
    """The active's power is cut; what its operator does at the standby."""
    trial.say(f"{lost.name}: power cut")
    lost.power_cut()
    trial.expect("cannot be reached", trial.do(standby, "look first"))
    said = trial.do(standby, "fail over")
    trial.expect("This pair is active", said)
    trial.expect("all 6 have come", said)
    check_books(trial, standby)
    lost.power_on()


def fail_over(trial: Trial, standby: Machine) -> None:
    """While the active runs: nothing is lost."""
    trial.do(standby, "look first")
    said = trial.do(standby, "fail over")
    trial.expect("This pair is active", said)
    trial.expect("all 6 have come", said)
    trial.expect("no configuration is lost", said)
    check_books(trial, standby)


def old_pair_follows(trial: Trial, old: Machine) -> None:
    """It comes back as it was, learns that it is fenced, and is made the standby."""
    old.run("mkdir -p /run/sshd", "root")
    old.start("/usr/sbin/sshd -D -e", "root")
    trial.run_node(old, "run the old pair", SERVES)
    trial.wait_for(f"{old.name} knows that it is fenced", lambda: "fenced" in old.run("ringfence status").stdout, 60)
    trial.stop_node(old)
    trial.do(old, "old pair follows")
    follow(trial, old, "run the old pair")


def point_active(trial: Trial, active: Machine) -> None:
    """What the page calls active.example."""
    for machine in (trial.first, trial.second):
        machine.run(
            f"sed -i '/active.example/d' /etc/hosts && echo '{active.address} active.example' >> /etc/hosts", "root"
        )
        known = "ssh-keyscan -t ed25519 active.example >> /etc/ssh/ssh_known_hosts"
        machine.run(f"sed -i '/^active.example/d' /etc/ssh/ssh_known_hosts; {known}", "root")


def check_books(trial: Trial, active: Machine) -> None:
    """The new pair gets what it lacks, and holds nothing twice."""
    seen = trial.books(active)
    trial.wait_for(
        f"{active.name} takes calls of all",
        lambda: all(one["rows"] > seen.get(name, {"rows": 0})["rows"] for name, one in trial.books(active).items()),
    )
    for name, one in trial.books(active).items():
        if one["rows"] != one["distinct"] or one["lost"]:
            raise Failed(f"{active.name}: {name}: {one}")


def end(trial: Trial, active: Machine) -> None:
    """Every query has had its answer, and stands in the books once; so does every call that the probes saw."""
    counted = deployment.end_calls(trial)

    def is_whole() -> bool:
        held = trial.books(active)
        return all(
            held[edge]["rows"] >= said["asked"] and held[edge.replace("enum", "probe")]["rows"] >= said["calls"]
            for edge, said in counted.items()
        )

    trial.wait_for("every call is in the books", is_whole)
    held = trial.books(active)
    print(json.dumps({"counted": counted, "held": held}, indent=2), flush=True)
    for edge, said in counted.items():
        for name, number in ((edge, said["asked"]), (edge.replace("enum", "probe"), said["calls"])):
            expected = {"last": number, "lost": 0, "rows": number, "distinct": number}
            if held[name] != expected or said["unanswered"]:
                raise Failed(f"{name}: {held[name]}, expected {expected}; {said['unanswered']} unanswered")


def _show_logs(machines: list[Machine]) -> None:
    for machine in machines:
        if machine.log.exists():
            print(f"--- {machine.name}", *machine.log.read_text(encoding="utf-8").splitlines()[-25:], sep="\n")


if __name__ == "__main__":
    sys.exit(main())
