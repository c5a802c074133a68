"""Section `database` put back: a dump loaded beside the database that is there, and then renamed in its place.

    DATABASE                       what is in use
    DATABASE_restoring             the dump, loaded; brought to this version's schema; `AFTER_RESTORE` done in it
    DATABASE_replaced              what was in use, between the renames and its end

Until the renames, which are one transaction, the old database is as it was; after them the new one is whole. A killed
restore leaves at most one of the two others, which the next one drops.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from ringfence.accounts.credentials import end_sessions
from ringfence.availability.archive import Report
from ringfence.availability.database_access import own_server, renamed
from ringfence.availability.dump import load_dump, programs_for
from ringfence.availability.manifest import Manifest
from ringfence.availability.node_term import NodeTerm
from ringfence.database.cluster import embedded_cluster
from ringfence.database.connection import Database, describe, lasting
from ringfence.database.migrate import migrate
from ringfence.errors import ConfigurationError, ConflictError, InvalidInputError, UnavailableError
from ringfence.settings import Settings

# What is done in the restored database before it takes the old one's place, in one transaction.
AfterRestore = Callable[[psycopg.Connection, Manifest, datetime], object]


def _end_sessions(connection: psycopg.Connection, manifest: Manifest, now: datetime) -> None:
    end_sessions(connection, now)


AFTER_RESTORE: list[AfterRestore] = [_end_sessions]


@dataclass(frozen=True)
class Replacement:
    """One dump that takes the place of the node's database."""

    settings: Settings
    manifest: Manifest
    folder: Path
    jobs: int
    timeout_s: float
    now: datetime
    report: Report

    def run(self) -> None:
        """Returns when the restored database is in use. RingfenceError: the old one still is."""
        url = self.settings.database.url
        if url is not None:
            url = lasting(url)
            self._replace(url, renamed(url, "postgres"))
            return
        with own_server(self.settings) as server:
            _check_room(embedded_cluster(self.settings.data), self.manifest)
            self._replace(server.url, renamed(server.superuser_url, "postgres"))

    def _replace(self, url: str, administrator: str) -> None:
        names = _Names.of(url)
        try:
            with psycopg.connect(administrator, autocommit=True, connect_timeout=10) as connection:
                _check_target(connection, names, self.manifest)
                programs = programs_for(connection, self.settings.database, _major(self.manifest.dump_version))
                for left in (names.restoring, names.replaced):
                    _drop(connection, left)
                _create(connection, names)
                fresh = renamed(url, names.restoring)
                load_dump(fresh, programs, self.folder, self.jobs, self.timeout_s, self.report)
                self.report(0, 0, "preparing")
                _prepare(fresh, self.manifest, self.now, self.settings.data)
                _swap(connection, names)
                _drop(connection, names.replaced)
        except psycopg.Error as error:
            raise UnavailableError(f"database {describe(url)}: {str(error).strip().splitlines()[0]}") from None


@dataclass(frozen=True)
class _Names:
    database: str
    restoring: str
    replaced: str
    owner: str

    @classmethod
    def of(cls, url: str) -> _Names:
        parts = conninfo.conninfo_to_dict(url)
        name = str(parts.get("dbname") or parts.get("user") or "")
        return cls(name, f"{name}_restoring", f"{name}_replaced", str(parts.get("user") or ""))


def _check_target(connection: psycopg.Connection, names: _Names, manifest: Manifest) -> None:
    """Whether this server can take the dump, and nobody works on the database that would be replaced."""
    here, there = connection.info.server_version // 10_000, _major(manifest.server_version)
    if here < there:
        raise InvalidInputError(
            f"backup {manifest.backup_id}: it is of PostgreSQL {there}, this server is {here}: "
            "a dump cannot go to an older one",
            code="invalid.backup",
        )
    may = connection.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if not (may and may[0]):
        raise ConfigurationError(
            "database: a restore loads a new database beside the old one, and this role may not make one: "
            f"ALTER ROLE {names.owner or 'ringfence'} CREATEDB"
        )
    others = connection.execute(
        """
        SELECT count(*), string_agg(DISTINCT coalesce(client_addr::text, 'this machine'), ', ')
        FROM pg_stat_activity WHERE datname = %s AND application_name = 'ringfence'
        """,
        (names.database,),
    ).fetchone()
    if others and others[0]:
        raise ConflictError(f"restore: a mediation works on this database ({others[1]}): stop it first")


def _check_room(cluster: Path, manifest: Manifest) -> None:
    free = shutil.disk_usage(cluster).free
    if free < manifest.database_bytes:
        raise UnavailableError(
            f"restore: {cluster} has {free >> 20:,} MiB free; the database needs {manifest.database_bytes >> 20:,} MiB "
            "beside the one that is there"
        )


def _create(connection: psycopg.Connection, names: _Names) -> None:
    owner = sql.SQL("OWNER {}").format(sql.Identifier(names.owner)) if names.owner else sql.SQL("")
    connection.execute(
        sql.SQL("CREATE DATABASE {} {} TEMPLATE template0 ENCODING 'UTF8'").format(
            sql.Identifier(names.restoring), owner
        )
    )


def _prepare(url: str, manifest: Manifest, now: datetime, data: Path) -> None:
    """Bring the loaded database to this version, and do what a restore asks of it."""
    database = Database(url, pool_size=2)
    try:
        migrate(database)
        with database.connection() as connection:
            for step in AFTER_RESTORE:
                step(connection, manifest, now)
            NodeTerm(data).settle_restored(connection, now)
        with database.autocommit() as connection:
            connection.execute("ANALYZE")
    finally:
        database.close()


def _swap(connection: psycopg.Connection, names: _Names) -> None:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    pairs = ((names.database, names.replaced), (names.restoring, names.database))
    with connection.transaction():
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> %s",
            ([names.database, names.restoring], connection.info.backend_pid),
        )
        for old, new in pairs:
            connection.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _major(version: str | None) -> int:
    return int((version or "0").split(".")[0])
