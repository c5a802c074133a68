"""Puts services on a system, and takes them off: accounts, configuration, unit files. Data is never touched.

Where the Debian package brings a unit (below /usr/lib/systemd/system), that unit stays the one in force.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ringfence.errors import ConfigurationError, ForbiddenError, InvalidInputError, NotFoundError
from ringfence.service.accounts import ensure_accounts, group_number
from ringfence.service.units import CONFIGURATION, ENVIRONMENT, HEADER, ROLES, STATE, UNITS, Unit, render_files
from ringfence.settings_sample import render_sample

LOCAL_UNITS = "etc/systemd/system"
PACKAGED_UNITS = "usr/lib/systemd/system"
_CLOSED_TO_SERVICES = ("/home/", "/root/", "/run/user/", "/tmp/")  # noqa: S108 — where units may not look


def units_of(roles: Sequence[str], *, has_external_database: bool) -> list[Unit]:
    """The units of these roles, each once, in start order. InvalidInputError for what is no role."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise InvalidInputError(f"role: {unknown[0]!r} is not a role; expected {', '.join(ROLES)}")
    if "up" in roles and len(set(roles)) > 1:
        raise InvalidInputError("role: `up` is all of them in one: name it alone")
    names = {name for role in roles for name in ROLES[role]}
    if has_external_database and "database" not in roles:
        names.discard("ringfence-database")
    return [unit for unit in UNITS if unit.name in names]


def installed_units(root: Path) -> list[Unit]:
    """Units that this system was given: by `install`, or enabled from the package."""
    local = [unit for unit in UNITS if _is_ours(root / LOCAL_UNITS / unit.file)]
    enabled = [unit for unit in UNITS if (root / LOCAL_UNITS / "multi-user.target.wants" / unit.file).is_symlink()]
    return [unit for unit in UNITS if unit in local or unit in enabled]


def install(root: Path, units: Sequence[Unit], program: str) -> list[str]:
    """Accounts, configuration and unit files of these units; what was made. ForbiddenError unless root."""
    made = [f"account {name}" for name in ensure_accounts(root, [unit.account for unit in units])]
    if _ensure_configuration(root):
        made.append(CONFIGURATION)
    for unit in units:
        for name, text in render_files(unit, program).items():
            file = root / LOCAL_UNITS / name
            if (root / PACKAGED_UNITS / name).exists() or (file.exists() and file.read_text("utf-8") == text):
                continue
            if file.exists() and not _is_ours(file):
                raise ConfigurationError(f"service: {file} is not ours: take it away, or rename it")
            _write(file, text)
            made.append(f"/{LOCAL_UNITS}/{name}")
    return made


def uninstall(root: Path, units: Sequence[Unit]) -> list[str]:
    """Remove the unit files that `install` wrote; what was removed. NotFoundError where there is none."""
    removed = []
    for unit in units:
        for name in render_files(unit):
            file = root / LOCAL_UNITS / name
            if _is_ours(file):
                _unlink(file)
                removed.append(f"/{LOCAL_UNITS}/{name}")
    if not removed and not any((root / PACKAGED_UNITS / unit.file).exists() for unit in units):
        raise NotFoundError(f"service: no unit of {', '.join(unit.name for unit in units)} is installed below {root}")
    return removed


def program_path() -> str:
    """The `ringfence` that units shall start: this one. ConfigurationError where a service could not reach it."""
    beside = Path(sys.executable).with_name("ringfence")
    found = str(beside) if beside.exists() else shutil.which("ringfence")
    if found is None:
        raise ConfigurationError("service: no `ringfence` program beside this Python: install the package or the wheel")
    program = str(Path(found).absolute())
    # The package's program is named by its place in the path of the system.
    if program.startswith("/usr/lib/ringfence/"):
        return "/usr/bin/ringfence"
    if program.startswith(_CLOSED_TO_SERVICES):
        raise ConfigurationError(
            f"service: {program} lies where services may not look: install into /opt or /usr/local, or the package"
        )
    return program


def service_environment(root: Path) -> dict[str, str]:
    """The settings in the environment file of the services; none where it is missing or may not be read."""
    try:
        lines = (root / ENVIRONMENT.lstrip("/")).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, PermissionError):
        return {}
    pairs = (line.strip().split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith(("#", ";")))
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def packaged_configuration() -> str:
    """The sample, with the data folder of the mediation: what commands on this node look into."""
    return render_sample().replace('# data = "ringfence-data"', f'data = "{STATE}/node"', 1)


def _ensure_configuration(root: Path) -> bool:
    """Readable by the services only; whether it was made."""
    file = root / CONFIGURATION.lstrip("/")
    if file.exists():
        return False
    _write(file, packaged_configuration(), mode=0o640)
    group = group_number(root)
    file.parent.chmod(0o750)
    for path in (file, file.parent):
        os.chown(path, 0, group)
    return True


def _is_ours(file: Path) -> bool:
    try:
        return file.is_file() and file.read_text(encoding="utf-8").startswith(HEADER)
    except (OSError, UnicodeDecodeError):
        return False


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        fresh.replace(file)
    except PermissionError:
        raise ForbiddenError(f"service: {file} may not be written: run as root") from None


def _unlink(file: Path) -> None:
    try:
        file.unlink()
    except PermissionError:
        raise ForbiddenError(f"service: {file} may not be removed: run as root") from None
