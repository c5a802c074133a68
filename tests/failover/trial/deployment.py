"""Setting up what the page presupposes: two installed nodes, three ENUM servers with a probe each, and calls.

Accounts and folders are the package's (deploy/debian/postinst), TLS and enrolment go as docs/operations/tls.md and
docs/operations/enrolment.md say; the settings of failover are taken from the page itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.failover.trial import document
from tests.failover.trial.machines import NETWORK, Bridge, Machine
from tests.failover.trial.trial import NODE, Failed, Trial

ENUM, PROBE = "/var/lib/ringfence/enum", "/var/lib/ringfence/probe"
ENUM_PORT, HEP_PORT = 5300, 9060
KEY = "/etc/ringfence/backup.key"
NUMBERS = {"first": 1, "second": 2, "enum-1": 11, "enum-2": 12, "enum-3": 13}
PASSWORD = "a trial of the page, word for word"  # of machines that live for minutes
ACCOUNTS = (
    "groupadd --system ringfence; for name in ringfence ringfence-enum ringfence-probe; do useradd --system "
    "--gid ringfence --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin $name; done"
)


def machines(folder: Path) -> tuple[Bridge, list[Machine]]:
    """All of them, installed; `active.example` is who is active at first."""
    bridge = Bridge()
    names = "".join(f"{NETWORK}.{number} {name} {name}.example\n" for name, number in NUMBERS.items())
    made = [Machine(bridge, folder, name, number, names) for name, number in NUMBERS.items()]
    for machine in made:
        told = machine.run(ACCOUNTS, "root")
        if told.returncode != 0:
            raise Failed(f"{machine.name}: {told.stdout}")
        machine.run("install -d -o root -g ringfence -m 750 /etc/ringfence", "root")
        machine.run(f"install -d -o ringfence -g ringfence -m 700 {NODE}", "root")
    return bridge, made


def configure(machine: Machine, partner: str, *, is_on_loopback: bool = False) -> None:
    """A pair's node as the page's settings have it."""
    said = document.settings_of("Failover")
    assert said["enum"] == {"enabled": False}
    (named,) = said["availability"]["partners"]
    address = named.replace("second", machine.name)
    lines = [f'data = "{NODE}"', "[api]"]
    if not is_on_loopback:
        lines += ['host = "0.0.0.0"', f'address = "{address}"']
    lines += ["[enum]", "enabled = false", "[availability]", f'partners = ["{named.replace("second", partner)}"]']
    if not is_on_loopback:
        lines += ["[backup]", f'key_file = "{KEY}"']
    machine.write("/etc/ringfence/ringfence.toml", "\n".join([*lines, ""]))


def install_first(trial: Trial) -> None:
    """The first pair beyond loopback, with an administrator who has a password of their own."""
    configure(trial.first, "second", is_on_loopback=True)
    trial.run_node(trial.first, "run the standby", "Ctrl-C stops")
    shown = re.search(r"admin, one-time password (\S+)", trial.first.log.read_text(encoding="utf-8"))
    if shown is None:
        raise Failed(f"no one-time password: {trial.first.log.read_text(encoding='utf-8')}")
    sign_in = (
        "import httpx; c = httpx.Client(base_url='http://127.0.0.1:8420/api/v1/', trust_env=False, timeout=60);"
        f"c.post('session', json={{'name': 'admin', 'password': '{shown[1]}'}}).raise_for_status();"
        f"c.post('session/password', json={{'old': '{shown[1]}', 'new': '{PASSWORD}'}},"
        " headers={'Origin': 'http://127.0.0.1:8420'}).raise_for_status()"
    )
    told = trial.first.run(f'{sys.executable} -c "{sign_in}"')
    if told.returncode != 0:
        raise Failed(told.stdout)
    trial.stop_node(trial.first)
    trial.do(trial.first, "make a key")
    trial.second.write(KEY, trial.first.run(f"cat {KEY}", "root").stdout, 0o600)
    for node in (trial.first, trial.second):
        trial.do(node, "own the key")
    configure(trial.first, "second")
    configure(trial.second, "first")
    trial.run_node(trial.first, "run the standby", "Ctrl-C stops")


def enrol_edges(trial: Trial) -> None:
    """Each ENUM server and each probe gets its certificate; both know both pairs."""
    addresses = document.settings_of("Failover")["edge"]["mediation"]
    to_both = " ".join(f"--address {address}" for address in addresses)
    for edge in trial.edges:
        for kind, account, data in (("enum", "ringfence-enum", ENUM), ("probe", "ringfence-probe", PROBE)):
            name = edge.name.replace("enum", kind)
            invited = trial.first.run(f"ringfence device invite {name} --kind {kind} {to_both}")
            token = re.search(r"rfe_\S+", invited.stdout)
            if token is None:
                raise Failed(invited.stdout)
            edge.run(f"install -d -o {account} -g ringfence -m 700 {data}", "root")
            enrolled = edge.run(f"ringfence {kind} enrol {token[0]} --data {data}", account)
            if enrolled.returncode != 0:
                raise Failed(enrolled.stdout)
        start_edge(edge)


def start_edge(edge: Machine) -> None:
    """Its ENUM server and its probe."""
    edge.start(f"ringfence enum --data {ENUM} --listen 127.0.0.1:{ENUM_PORT}", "ringfence-enum")
    edge.start(f"ringfence probe run --data {PROBE} --hep-listen 127.0.0.1:{HEP_PORT}", "ringfence-probe")


def start_calls(trial: Trial) -> None:
    """At every edge, until `end_calls`."""
    for edge in trial.edges:
        trial.wait_for(f"{edge.name} and its probe listen", lambda edge=edge: _listens(edge))  # type: ignore[misc]
        command = edge.command(
            f"exec {sys.executable} -m tests.failover.trial.caller {edge.name} {ENUM_PORT} {HEP_PORT}", "ringfence"
        )
        trial.callers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def end_calls(trial: Trial) -> dict[str, dict[str, Any]]:
    """What the callers counted, by edge."""
    said = [caller.communicate(timeout=60)[0] for caller in trial.callers]
    trial.callers.clear()
    return {edge.name: json.loads(text) for edge, text in zip(trial.edges, said, strict=True)}


def _listens(edge: Machine) -> bool:
    listening = edge.run("ss -Hlnu", "root").stdout
    return f":{ENUM_PORT} " in listening and f":{HEP_PORT} " in listening
