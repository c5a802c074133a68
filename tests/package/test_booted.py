"""The whole life of a node on a machine of its own: installed, started, cut off, booted, upgraded, removed, purged.

Heavy (minutes, and a Debian mirror for the system): `make package-test`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.package.machine import Machine, make_system

PACKAGES = os.environ.get("RINGFENCE_TEST_PACKAGE")  # the folder that `make package` filled
pytestmark = [
    pytest.mark.package,
    pytest.mark.skipif(PACKAGES is None, reason="heavy: `make package-test` runs it"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("mmdebstrap", "systemd-nspawn", "nsenter", "dig"))),
        reason="needs root, mmdebstrap, systemd-nspawn (package systemd-container), nsenter and dig",
    ),
]
QUERY = "0.0.1.0.5.5.5.0.0.9.1.e164.internal"
TERMINATED = '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@terminate.e164.internal!" .'
POLICY = 'rules: [{name: premium, destinations: ["+19005550100"], action: terminate}]\n'
SERVICES = ["ringfence-database.service", "ringfence-mediation.service", "ringfence-enum.service"]


@pytest.fixture(scope="module")
def package() -> Path:
    """What `make package` built."""
    found = sorted(Path(PACKAGES or "").glob("ringfence_*.deb"), key=lambda file: file.stat().st_mtime)
    assert found, f"no package in {PACKAGES}"
    return found[-1]


@pytest.fixture
def earlier(package: Path, tmp_path: Path) -> Path:
    """The same under an earlier version, as there is no earlier release yet."""
    tree, made = tmp_path / "earlier", tmp_path / "earlier.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text(encoding="utf-8").splitlines()
    control.write_text("\n".join("Version: 0.0.9" if line.startswith("Version:") else line for line in lines) + "\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made], check=True)
    shutil.rmtree(tree)
    return made


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    root = tmp_path / "system"
    make_system(root)
    machine = Machine(root)
    try:
        machine.boot()
        yield machine
    finally:
        machine.cut_power()
        shutil.rmtree(root, ignore_errors=True)


def install(machine: Machine, package: Path) -> None:
    shutil.copy(package, machine.root / "root" / "ringfence.deb")
    machine.run("dpkg", "--install", "--force-confold", "/root/ringfence.deb")
    (machine.root / "root" / "ringfence.deb").unlink()


def version(machine: Machine) -> str:
    return machine.run("dpkg-query", "--show", "--showformat=${Version} ${Status}", "ringfence").stdout


def status(machine: Machine) -> dict[str, Any]:
    done = machine.run("ringfence", "status", "--json", check=False)
    assert done.stdout.startswith("{"), done.stderr  # whatever is wrong, it says so as asked
    tree: dict[str, Any] = json.loads(done.stdout)
    return tree


def services(machine: Machine, what: str) -> dict[str, Any]:
    told = json.loads(machine.run("ringfence", "service", "status", "--json", check=False).stdout)
    return {one["unit"]: one[what] for one in told["services"]}


def is_well(machine: Machine) -> bool:
    report = status(machine)
    return bool(report["ok"]) and [one["name"] for one in report["devices"]] == ["enum-1"]


def is_well_and_answers(machine: Machine) -> bool:
    return machine.ask(QUERY) == TERMINATED and is_well(machine)


def eventually(condition: Callable[[], bool], what: Callable[[], object], timeout_s: float = 180) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s:g} s: {what()}"
        time.sleep(0.5)


def calls(machine: Machine) -> int:
    return len(machine.run("ringfence", "events", "--since", "1d", "--json").stdout.splitlines())


def start_mediation_and_enum(machine: Machine) -> None:
    """As docs/operations/service.md says."""
    machine.run("ringfence", "service", "install", "mediation", "--enable", "--start")
    made = json.loads(machine.run("ringfence", "device", "add", "enum-1", "--kind", "enum", "--json").stdout)
    owned = ("install", "-o", "ringfence-enum", "-g", "ringfence")
    machine.run(*owned, "-m", "700", "-d", "/var/lib/ringfence/enum", "/var/lib/ringfence/enum/enum")
    machine.run(*owned, "-m", "600", "/dev/stdin", "/var/lib/ringfence/enum/enum/credential", stdin=made["credential"])
    (machine.root / "etc/ringfence/ringfence.env").write_text(
        "RINGFENCE_EDGE_MEDIATION=http://127.0.0.1:8420\nRINGFENCE_ENUM_LISTEN=127.0.0.1:53\n", encoding="ascii"
    )
    machine.run("ringfence", "service", "install", "enum", "--enable", "--start")
    machine.run("ringfence", "policy", "apply", "-", stdin=POLICY)


def files(machine: Machine) -> set[str]:
    """Everything of the system that a package may leave behind; accounts stay on purpose."""
    roots = ("etc", "usr", "var/lib", "opt", "srv")
    found = {str(file.relative_to(machine.root)) for root in roots for file in (machine.root / root).rglob("*")}
    kept = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid", "etc/.pwd.lock")
    return {name for name in found if not name.startswith((*kept, "var/lib/systemd/", "var/lib/dpkg/"))}


def test_a_node_is_installed_lives_on_through_everything_and_goes_without_a_trace(
    machine: Machine, package: Path, earlier: Path
) -> None:
    before = files(machine)
    install(machine, earlier)
    assert machine.run("systemctl", "list-units", "--no-legend", "ringfence-*").stdout == ""  # nothing started
    start_mediation_and_enum(machine)
    eventually(lambda: is_well_and_answers(machine), lambda: status(machine))
    eventually(lambda: calls(machine) > 0, lambda: calls(machine))
    for unit in SERVICES:
        told = machine.run("systemd-analyze", "security", "--threshold=30", "--no-pager", unit).stdout
        assert "Overall exposure level" in told

    # What dies is started again, and status and log say that it was.
    killed = services(machine, "pid")
    for unit in SERVICES:
        machine.run("systemctl", "kill", "--signal=KILL", unit)
    eventually(
        lambda: is_well_and_answers(machine) and not set(services(machine, "pid").values()) & set(killed.values()),
        lambda: status(machine),
    )
    assert "restarted" in machine.run("ringfence", "status").stdout
    logged = machine.run("ringfence", "logs", "--since", "1h", "--json").stdout.splitlines()
    assert {"enum.started", "mediation.started", "systemd"} <= {json.loads(line)["event"] for line in logged}

    # A power cut, and a boot.
    known = calls(machine)
    machine.cut_power()
    machine.boot()
    assert services(machine, "state") == dict.fromkeys(SERVICES, "active")
    eventually(lambda: is_well_and_answers(machine), lambda: status(machine))
    assert calls(machine) >= known

    # An upgrade: what ran runs again, what did not is not started, what was changed stays.
    machine.run("ringfence", "service", "stop", "enum")
    configuration = machine.root / "etc/ringfence/ringfence.toml"
    configuration.write_text(configuration.read_text(encoding="utf-8") + "# changed here\n", encoding="utf-8")
    known = calls(machine)
    assert version(machine).startswith("0.0.9 ")
    install(machine, package)
    assert version(machine) == f"{package.name.split('_')[1]} install ok installed"
    active = dict.fromkeys(SERVICES, "active")
    assert services(machine, "state") == active | {"ringfence-enum.service": "inactive"}
    machine.run("ringfence", "service", "start")
    eventually(lambda: is_well_and_answers(machine), lambda: status(machine))
    assert calls(machine) >= known
    assert configuration.read_text(encoding="utf-8").endswith("# changed here\n")

    # Removing keeps data and configuration, and what is installed again has them; purging takes them away.
    machine.run("dpkg", "--remove", "ringfence")
    assert machine.run("systemctl", "list-units", "--no-legend", "--state=active", "ringfence-*").stdout == ""
    assert not (machine.root / "usr/lib/ringfence").exists()
    assert (machine.root / "var/lib/ringfence/node/postgresql/cluster/PG_VERSION").exists()
    install(machine, package)
    assert set(services(machine, "state").values()) == {"inactive"}
    machine.run("ringfence", "service", "start")
    eventually(lambda: is_well_and_answers(machine), lambda: status(machine))
    assert calls(machine) >= known
    machine.run("dpkg", "--purge", "ringfence")
    assert files(machine) - before == set()
