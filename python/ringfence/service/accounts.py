"""The system accounts that services run as: made in a root with shadow's own programs, never removed by us.

An account that went away with files left behind would hand them to whoever gets its number next.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ringfence.errors import ConfigurationError, ForbiddenError
from ringfence.service.units import GROUP


def ensure_accounts(root: Path, names: Iterable[str]) -> list[str]:
    """Make the group and those accounts that are missing; their names. ForbiddenError unless root."""
    made = []
    if GROUP not in _names(root, "group"):
        _run("groupadd", root, "--system", GROUP)
        made.append(GROUP)
    for name in dict.fromkeys(names):
        if name not in _names(root, "passwd"):
            options = ("--system", "--gid", GROUP, "--no-create-home", "--home-dir", "/nonexistent")
            _run("useradd", root, *options, "--shell", "/usr/sbin/nologin", name)
            made.append(name)
    return made


def group_number(root: Path) -> int:
    """The group's id in this root. KeyError before it is made."""
    return _names(root, "group")[GROUP]


def _names(root: Path, table: str) -> dict[str, int]:
    """Name → id of passwd(5) or group(5) below a root."""
    try:
        lines = (root / "etc" / table).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ConfigurationError(f"root: {root} holds no system ({root / 'etc' / table} is missing)") from None
    return {fields[0]: int(fields[2]) for line in lines if len(fields := line.split(":")) > 2 and fields[2].isdigit()}


def _run(program: str, root: Path, *arguments: str) -> None:
    found = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin")
    if found is None:
        raise ConfigurationError(f"service: {program} is missing (Debian package passwd)")
    if os.geteuid() != 0:
        raise ForbiddenError("service: accounts are made by root: run as root")
    where = () if root == Path("/") else ("--prefix", str(root))
    done = subprocess.run([found, *where, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ConfigurationError(f"service: {program}: {(done.stderr.strip() or 'failed').splitlines()[0]}")
