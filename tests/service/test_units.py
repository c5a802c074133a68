"""Units: what is committed is what the source makes, and systemd itself finds nothing wrong with any of them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.cli.main import build
from ringfence.service.units import PROGRAM, ROLES, STATE, UNITS, Unit, render_files, unit_named, write_units

ROOT = Path(__file__).parents[2]
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The units with a program that exists here, which `systemd-analyze verify` asks for."""
    for unit in UNITS:
        for name, text in render_files(unit, program="/bin/true").items():
            (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def settings_of(unit: Unit) -> list[str]:
    return render_files(unit)[unit.file].splitlines()


def test_the_committed_units_are_what_the_source_makes(tmp_path: Path) -> None:
    write_units(tmp_path)
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    kept = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "deploy" / "systemd").glob("ringfence-*")}
    assert made == kept, "run `python -m ringfence.service.units`"


@needs_systemd
def test_systemd_verifies_every_unit(folder: Path) -> None:
    # With --man=no and our own files only: whatever it prints is a fault of ours.
    files = sorted(folder.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    faults = [line for line in done.stderr.splitlines() if "ringfence" in line]
    assert (done.returncode, faults) == (0, [])


@needs_systemd
@every_unit
def test_the_exposure_of_every_unit_is_at_most_three(folder: Path, unit: Unit) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", folder / unit.file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]
    assert "Overall exposure level" in done.stdout


@needs_systemd
def test_the_threshold_would_tell_a_unit_that_gives_nothing_up(tmp_path: Path) -> None:
    bare = tmp_path / "ringfence-bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", bare],
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0


@every_unit
def test_a_unit_starts_a_command_that_exists(unit: Unit) -> None:
    import typer.main

    command: object = typer.main.get_command(build())
    for word in unit.command.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    assert "--data" in {name for parameter in command.params for name in parameter.opts}  # type: ignore[attr-defined]


def test_only_those_get_a_capability_that_need_one() -> None:
    granted = {unit.name: set(unit.capabilities) for unit in UNITS}
    assert granted == {
        "ringfence-database": set(),
        "ringfence-mediation": {"CAP_NET_BIND_SERVICE"},
        "ringfence-enum": {"CAP_NET_BIND_SERVICE"},
        "ringfence-probe": {"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"},
        "ringfence-up": {"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"},
    }
    assert "CapabilityBoundingSet=" in settings_of(unit_named("ringfence-database"))


def test_edges_do_not_share_a_folder_or_an_account_with_the_database() -> None:
    edges = [unit_named(name) for name in ("ringfence-enum", "ringfence-probe")]
    others = [unit for unit in UNITS if unit not in edges]
    assert not {unit.account for unit in edges} & {unit.account for unit in others}
    assert not {unit.folder for unit in edges} & {unit.folder for unit in others}
    assert len({unit.account for unit in edges}) == 2


def test_the_stage_of_a_journal_outlives_its_process() -> None:
    for unit in UNITS:
        assert not {"RemoveIPC=yes", "DynamicUser=yes"} & set(settings_of(unit))


def test_a_wrong_configuration_is_not_tried_again_and_a_missing_database_always() -> None:
    for unit in UNITS:
        lines = settings_of(unit)
        assert "RestartPreventExitStatus=2" in lines  # ringfence.cli.main.EXIT_CODES
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        waits_s = 10 + float(values["RestartSec"])  # database.connect_timeout_s and the pause
        assert float(values["StartLimitIntervalSec"]) / waits_s < float(values["StartLimitBurst"])


def test_scheduled_work_has_a_timer_and_no_restart() -> None:
    unit = replace(unit_named("ringfence-mediation"), name="ringfence-work", timer="daily", watchdog_s=None)
    files = render_files(unit)
    assert set(files) == {"ringfence-work.service", "ringfence-work.timer"}
    assert "OnCalendar=daily\n" in files["ringfence-work.timer"]
    service = files["ringfence-work.service"]
    assert "Type=oneshot\n" in service
    assert "Restart=" not in service
    assert "[Install]" not in service


def test_roles_name_units_in_start_order() -> None:
    order = [unit.name for unit in UNITS]
    for names in ROLES.values():
        assert sorted(names, key=order.index) == list(names)
    assert f"ExecStart={PROGRAM} mediation --data {STATE}/node" in settings_of(unit_named("ringfence-mediation"))
