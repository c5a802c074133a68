"""The embedded cluster on disk: where it is, its secrets, its configuration, how it is made.

    <data>/postgresql/
        lock                who runs the server (flock)
        place.json          where the cluster and its socket are, 0600
        secrets.json        passwords of the superuser and of the application, 0600
        start.log           what the server said before its own log began
        cluster/            PGDATA, owned by the server's user; its log is in cluster/log
        socket/             the Unix socket, 0700, owned by the server's user

The data folder may lie where the server's user cannot go (below /root, in a 0700 temporary folder), or so deep that
a socket path passes 107 bytes. Then `cluster` is kept below /var/lib/ringfence/clusters and `socket` in a short
folder below /run or /tmp, and place.json points there.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import structlog

from ringfence.database.programs import STATE_FOLDER, Programs, ServerUser
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.private_file import write_private

APPLICATION = "ringfence"  # role and database
SUPERUSER = "postgres"
PORT = 5432  # only part of the socket's name
# sun_path is 108 bytes with its NUL (unix(7)); the name takes "/.s.PGSQL.5432" and PostgreSQL adds ".lock" beside it.
LONGEST_SOCKET_PATH = 107
SOCKET_NAME = f".s.PGSQL.{PORT}"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Place:
    """Where the parts of one embedded cluster are."""

    home: Path
    cluster: Path
    socket: Path

    @property
    def is_made(self) -> bool:
        """Whether initdb has finished here."""
        return (self.cluster / "PG_VERSION").exists()

    @property
    def socket_lock(self) -> Path:
        """PostgreSQL's lock file beside the socket."""
        return self.socket / f"{SOCKET_NAME}.lock"

    def url(self, role: str, password: str, database: str) -> str:
        """libpq URL over the socket."""
        host = quote(str(self.socket), safe="")
        return f"postgresql://{role}:{quote(password, safe='')}@/{database}?host={host}&port={PORT}"


@dataclass(frozen=True)
class Secrets:
    """Passwords of the cluster's two roles."""

    superuser: str
    application: str


def home_of(data: Path) -> Path:
    """The folder of the embedded server in a data folder."""
    return data / "postgresql"


def has_embedded(data: Path) -> bool:
    """Whether a cluster was made for this data folder."""
    return (home_of(data) / "place.json").exists()


def embedded_url(data: Path) -> str:
    """URL with which the application enters the embedded database; UnavailableError when there is none yet."""
    home = home_of(data)
    try:
        place, known = _read_place(home), read_secrets(home)
    except FileNotFoundError:
        raise UnavailableError(
            f"database: no embedded PostgreSQL in {data}: start `ringfence up`, or set database.url"
        ) from None
    return place.url(APPLICATION, known.application, APPLICATION)


def embedded_cluster(data: Path) -> Path:
    """PGDATA of the embedded server of a data folder; UnavailableError when there is none yet."""
    return place_of(data).cluster


def cluster_folder(data: Path) -> Path | None:
    """Where the embedded server of a data folder keeps its files; None when there is none."""
    try:
        return _read_place(home_of(data)).cluster
    except FileNotFoundError:
        return None


def make_home(data: Path) -> Path:
    """The folder of the embedded server in a data folder, made if missing."""
    home = home_of(data)
    try:
        home.mkdir(parents=True)
    except FileExistsError:
        return home
    except OSError as error:
        raise ConfigurationError(f"data: {home} cannot be made: {error.strerror}") from None
    home.chmod(0o711)  # ours: the server's user passes through, its contents are protected one by one
    return home


def settle(data: Path, user: ServerUser) -> Place:
    """Find or choose where the cluster and its socket are. Safe to repeat; the caller holds the lock."""
    home = home_of(data)
    try:
        cluster = _read_place(home).cluster
    except FileNotFoundError:
        cluster = _choose_cluster(home, user)
    if not user.can_enter(cluster.parent):
        raise ConfigurationError(f"database: user {user.name} can no longer enter {cluster.parent}")
    place = Place(home, cluster, _choose_socket(home, user))
    relative = cluster.name if cluster.parent == home else str(cluster)  # a data folder may be moved
    write_private(home / "place.json", json.dumps({"cluster": relative, "socket": str(place.socket)}))
    return place


def place_of(data: Path) -> Place:
    """Where the embedded cluster of a data folder is; UnavailableError when there is none yet."""
    try:
        return _read_place(home_of(data))
    except FileNotFoundError:
        raise UnavailableError(f"database: no embedded PostgreSQL in {data}: start `ringfence up`") from None


def adopt_cluster(place: Place, fresh: Path, known: Secrets) -> None:
    """Let `fresh`, a copy of another node's cluster that lies beside ours, be ours, with the other's passwords."""
    replaced = place.cluster.with_name(f".{place.cluster.name}-replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if place.cluster.exists():
        place.cluster.rename(replaced)
    fresh.rename(place.cluster)
    write_private(place.home / "secrets.json", json.dumps(asdict(known)))
    _sync_folder(place.cluster.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def read_secrets(home: Path) -> Secrets:
    """The cluster's passwords; FileNotFoundError before it was made."""
    return Secrets(**json.loads((home / "secrets.json").read_text(encoding="utf-8")))


def make_cluster(place: Place, programs: Programs, user: ServerUser) -> None:
    """Run initdb, unless it has been done. An interrupted one leaves nothing that counts."""
    if place.is_made:
        check_version(place, programs)
        return
    if not (place.home / "secrets.json").exists():
        fresh_secrets = {"superuser": secrets.token_urlsafe(32), "application": secrets.token_urlsafe(32)}
        write_private(place.home / "secrets.json", json.dumps(fresh_secrets))
    parent = place.cluster.parent
    fresh = Path(tempfile.mkdtemp(prefix=".cluster-", dir=parent))
    password = fresh.with_name(f"{fresh.name}.password")
    try:
        user.own(fresh)
        write_private(password, read_secrets(place.home).superuser)
        user.own(password)
        # Code-point collation: the same order on every machine and with every libc.
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"] if programs.major >= 17 else ["--locale=C"]
        result = user.run(
            programs.bin / "initdb", "--pgdata", fresh, "--username", SUPERUSER, "--pwfile", password,
            "--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums", *locale,
        )  # fmt: skip
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
            raise UnavailableError(f"database: initdb failed: {lines[-1]}")
        fresh.rename(place.cluster)
        _sync_folder(parent)
    finally:
        password.unlink(missing_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
    log.info("database.cluster_made", folder=str(place.cluster), version=programs.version)


def check_version(place: Place, programs: Programs) -> None:
    """Refuse to start another major version's cluster."""
    made_by = (place.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != str(programs.major):
        raise ConfigurationError(
            f"database: the cluster in {place.cluster} is of PostgreSQL {made_by}, "
            f"the programs in {programs.bin} are {programs.version}: set database.bin to PostgreSQL {made_by}"
        )


def write_configuration(place: Place, user: ServerUser) -> None:
    """Write postgresql.conf and pg_hba.conf: ours, whole, at every start. An operator's changes go to local.conf."""
    for name, text in (
        ("postgresql.conf", _configuration(place, _memory_bytes())),
        ("pg_hba.conf", "local all all scram-sha-256\nlocal replication all scram-sha-256\n"),
    ):
        write_private(place.cluster / name, text)
        user.own(place.cluster / name)


def remove_cluster(data: Path) -> None:
    """Delete the embedded cluster of a data folder, wherever it is. Its server must have been stopped."""
    home = home_of(data)
    try:
        place = _read_place(home)
    except FileNotFoundError:
        return
    elsewhere = [place.cluster.parent] if place.cluster.parent != home else []
    for folder in (place.cluster, place.socket, home, *elsewhere):
        shutil.rmtree(folder, ignore_errors=True)


def _read_place(home: Path) -> Place:
    place = json.loads((home / "place.json").read_text(encoding="utf-8"))
    return Place(home, home / place["cluster"], Path(place["socket"]))


def _choose_cluster(home: Path, user: ServerUser) -> Path:
    if user.can_enter(home):
        return home / "cluster"
    # The random part: a data folder that was deleted and made again must not meet the old one's cluster.
    clusters = STATE_FOLDER / "clusters"
    clusters.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = clusters / f"{_digest(home)}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o755)
    for ours in (STATE_FOLDER, clusters, folder):
        ours.chmod(0o755)
    (folder / "data-folder").write_text(f"{home.parent}\n", encoding="utf-8")
    log.info("database.cluster_elsewhere", data=str(home.parent), folder=str(folder), user=user.name)
    return folder / "cluster"


def _choose_socket(home: Path, user: ServerUser) -> Path:
    candidates = [home / "socket"] if user.can_enter(home) else []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0:
        candidates.append(Path("/run/ringfence") / _digest(home))
    elif runtime and Path(runtime).is_dir():
        candidates.append(Path(runtime) / f"ringfence-{_digest(home)}")
    candidates.append(Path("/tmp") / f"ringfence-{os.geteuid()}-{_digest(home)}")  # noqa: S108 — ownership is checked
    for folder in candidates:
        # libpq takes a comma for the end of one host in a list, and offers no way around it.
        fits = len(os.fsencode(folder / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(folder)
        if fits and _make_private_folder(folder, user):
            return folder
    raise ConfigurationError(f"database: no folder for the server's socket: tried {', '.join(map(str, candidates))}")


def _make_private_folder(folder: Path, user: ServerUser) -> bool:
    """Make `folder` 0700 for the server's user; False where someone else holds the name or it cannot be made."""
    try:
        folder.parent.mkdir(mode=0o755, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), user.uid):
            return False
        user.own(folder)
        folder.chmod(0o700)
    except OSError:
        return False
    return user.can_enter(folder)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _configuration(place: Place, memory_bytes: int) -> str:
    """postgresql.conf. Sizes follow the machine; the rest is fixed (docs/decisions/0003-embedded-postgresql.md)."""
    megabyte = 1 << 20
    shared = min(max(memory_bytes // 8 // megabyte, 64), 2048)
    cache = max(memory_bytes // 2 // megabyte, 128)
    maintenance = min(max(memory_bytes // 64 // megabyte, 32), 512)
    # The list of folders is parsed once more inside the string: double quotes keep commas and spaces in a name.
    socket = '"' + str(place.socket).replace('"', '""') + '"'
    settings: dict[str, str] = {
        "listen_addresses": "''",
        "port": str(PORT),
        "unix_socket_directories": _quoted(socket),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "password_encryption": "scram-sha-256",
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{cache}MB",
        "maintenance_work_mem": f"{maintenance}MB",
        "work_mem": "16MB",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_level": "replica",
        "max_wal_size": "2GB",
        "min_wal_size": "256MB",
        # What a standby that is away may make us keep; beyond it the standby must be made anew.
        "max_slot_wal_keep_size": "8GB",
        "wal_retrieve_retry_interval": "1s",
        "checkpoint_timeout": "5min",
        "autovacuum": "on",
        "random_page_cost": "1.1",
        "timezone": "'UTC'",
        "lc_messages": "'C'",
        "logging_collector": "on",
        "log_destination": "'stderr'",
        "log_directory": "'log'",
        "log_filename": "'postgresql-%a.log'",  # a week of logs, each day's replaced a week later
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_file_mode": "0600",
        "log_timezone": "'UTC'",
        "log_line_prefix": "'%m [%p] %q%u@%d %a '",
        "log_checkpoints": "off",
        "log_min_duration_statement": "2s",
        "log_parameter_max_length": "0",  # parameters carry telephone numbers and hashes
        "log_parameter_max_length_on_error": "0",
        "log_lock_waits": "on",
    }
    head = "# Written by Ringfence at every start. Put your own changes into local.conf beside this file.\n"
    body = "".join(f"{name} = {value}\n" for name, value in settings.items())
    return f"{head}{body}include_if_exists 'local.conf'\n"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
