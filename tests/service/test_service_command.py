"""`ringfence service` on the files below a root, as an image or a chroot has them; systemd says what is enabled."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.cli.conftest import run_ringfence

from ringfence.errors import ConfigurationError, InvalidInputError
from ringfence.service import installation
from ringfence.service.accounts import ensure_accounts
from ringfence.service.manager import Systemd, parse_state
from ringfence.service.units import UNITS, render_files
from ringfence.settings import load_settings

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="installing services needs root"),
    pytest.mark.skipif(not shutil.which("systemctl"), reason="systemctl is not installed"),
]
Run = Callable[..., "CompletedProcess[str]"]
PROGRAM = "/opt/ringfence/bin/ringfence"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What a system must have to get accounts and units."""
    system = tmp_path / "system"
    (system / "etc").mkdir(parents=True)
    (system / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="ascii")
    (system / "etc" / "group").write_text("root:x:0:\n", encoding="ascii")
    (system / "etc" / "shadow").write_text("root:*:19000:0:99999:7:::\n", encoding="ascii")
    (system / "etc" / "gshadow").write_text("root:*::\n", encoding="ascii")
    return system


@pytest.fixture
def service(root: Path) -> Run:
    def run(*arguments: str) -> CompletedProcess[str]:
        return run_ringfence("service", *arguments, "--root", str(root))

    return run


def install(root: Path, *roles: str) -> list[str]:
    return installation.install(root, installation.units_of(roles, has_external_database=False), PROGRAM)


def test_install_makes_accounts_configuration_and_units(root: Path) -> None:
    made = install(root, "mediation", "enum")
    assert made == [
        "account ringfence",
        "account ringfence",
        "account ringfence-enum",
        "/etc/ringfence/ringfence.toml",
        "/etc/systemd/system/ringfence-database.service",
        "/etc/systemd/system/ringfence-mediation.service",
        "/etc/systemd/system/ringfence-enum.service",
    ]
    file = root / "etc/ringfence/ringfence.toml"
    assert str(load_settings(file, environment={}).data) == "/var/lib/ringfence/node"
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o640, 0)
    unit = (root / "etc/systemd/system/ringfence-enum.service").read_text(encoding="utf-8")
    assert f"ExecStart={PROGRAM} enum --data /var/lib/ringfence/enum\n" in unit
    assert install(root, "mediation", "enum") == []


def test_install_keeps_the_configuration_that_is_there(root: Path) -> None:
    file = root / "etc/ringfence/ringfence.toml"
    file.parent.mkdir()
    file.write_text("[api]\nport = 9000\n", encoding="utf-8")
    install(root, "probe")
    assert file.read_text(encoding="utf-8") == "[api]\nport = 9000\n"


def test_install_leaves_a_unit_to_the_package_that_brings_it(root: Path) -> None:
    packaged = root / "usr/lib/systemd/system"
    packaged.mkdir(parents=True)
    unit = next(unit for unit in UNITS if unit.name == "ringfence-enum")
    (packaged / unit.file).write_text(render_files(unit)[unit.file], encoding="utf-8")
    assert "/etc/systemd/system/ringfence-enum.service" not in install(root, "enum")


def test_install_refuses_to_replace_a_unit_of_somebody_else(root: Path) -> None:
    foreign = root / "etc/systemd/system/ringfence-enum.service"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not ours"):
        install(root, "enum")


def test_enable_and_disable_are_what_systemd_says_of_the_root(root: Path, service: Run) -> None:
    install(root, "mediation", "enum")
    assert service("enable").returncode == 0
    told = json.loads(service("status", "--json").stdout)
    assert told["ok"]
    assert [(one["unit"], one["enabled"], one["state"]) for one in told["services"]] == [
        ("ringfence-database.service", True, "unknown"),
        ("ringfence-mediation.service", True, "unknown"),
        ("ringfence-enum.service", True, "unknown"),
    ]
    # Enabled together with its database: starting the mediation starts it.
    assert (root / "etc/systemd/system/ringfence-mediation.service.wants/ringfence-database.service").is_symlink()
    assert service("disable", "enum").returncode == 0
    assert [state.is_enabled for state in Systemd(root).states(["ringfence-enum.service"])] == [False]


def test_uninstall_takes_away_what_install_made_and_nothing_else(root: Path, service: Run) -> None:
    install(root, "enum", "probe")
    service("enable")
    done = service("uninstall", "enum")
    assert done.stdout == "removed /etc/systemd/system/ringfence-enum.service\n"
    left = sorted(str(file.relative_to(root / "etc/systemd")) for file in (root / "etc/systemd").rglob("ringfence-*"))
    assert left == ["system/multi-user.target.wants/ringfence-probe.service", "system/ringfence-probe.service"]
    assert (root / "etc/ringfence/ringfence.toml").exists()
    again = service("uninstall", "enum")
    assert (again.returncode, again.stderr.count("\n")) == (3, 1)


def test_starting_needs_a_running_systemd_and_says_so(root: Path, service: Run) -> None:
    install(root, "enum")
    done = service("start")
    assert done.returncode == 6
    assert "is not the running system" in done.stderr


def test_a_node_without_roles_says_what_to_do(service: Run) -> None:
    done = service("status")
    assert done.returncode == 3
    assert "ringfence service install" in done.stderr


def test_a_missing_unit_is_red(service: Run) -> None:
    done = service("status", "probe", "--json")
    assert done.returncode == 1
    assert "is not installed" in json.loads(done.stdout)["services"][0]["reason"]


def test_a_root_that_is_no_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no system"):
        ensure_accounts(tmp_path, ["ringfence"])


def test_an_external_database_needs_no_unit_for_it() -> None:
    with_own = installation.units_of(["mediation"], has_external_database=False)
    without = installation.units_of(["mediation"], has_external_database=True)
    assert [unit.name for unit in with_own] == ["ringfence-database", "ringfence-mediation"]
    assert [unit.name for unit in without] == ["ringfence-mediation"]


def test_the_environment_file_of_the_services_tells_of_an_external_database(root: Path, service: Run) -> None:
    (root / "etc" / "ringfence").mkdir()
    (root / "etc/ringfence/ringfence.env").write_text(
        "# elsewhere\nRINGFENCE_DATABASE_URL='postgresql://db.example/ringfence?sslmode=require'\n", encoding="utf-8"
    )
    install(root, "mediation")
    told = json.loads(service("status", "mediation", "--json").stdout)
    assert [one["unit"] for one in told["services"]] == ["ringfence-mediation.service"]


@pytest.mark.parametrize(("roles", "said"), [(["sbc"], "'sbc' is not a role"), (["up", "enum"], "name it alone")])
def test_roles_that_cannot_be_are_refused(roles: list[str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        installation.units_of(roles, has_external_database=False)


def test_what_systemd_shows_is_read() -> None:
    state = parse_state(
        "Id=ringfence-enum.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"
        "MainPID=71\nNRestarts=2\nExecMainStartTimestamp=@1763840000\nResult=success\nStatusText=answers on [::1]:53"
    )
    assert (state.pid, state.restarts, state.status, state.reason) == (71, 2, "answers on [::1]:53", None)
    assert state.since is not None
    assert state.since.isoformat() == "2025-11-22T19:33:20+00:00"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("LoadState=loaded\nActiveState=failed\nResult=exit-code", "failed (exit-code)"),
        ("LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled", "does not run"),
        ("LoadState=loaded\nActiveState=activating", "is activating"),
        ("LoadState=not-found\nActiveState=inactive", "is not installed"),
    ],
)
def test_a_unit_that_is_not_as_it_should_be_has_a_reason(lines: str, said: str) -> None:
    assert said in (parse_state(f"Id=ringfence-enum.service\n{lines}").reason or "")
