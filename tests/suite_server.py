"""The PostgreSQL of the suite: the embedded server, made to give hundreds of databases to thousands of connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from ringfence.database.cluster import APPLICATION
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer

# None of these databases outlives the session: no need to wait for the disk. The less memory for its pages, the less
# there is to look through when a database goes.
_SETTINGS = {"fsync": "off", "shared_buffers": "64MB", "min_wal_size": "80MB", "max_wal_size": "256MB"}
# A database is six hundred files, which cost a file system on a disk ten times what they cost one in memory.
_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30


def place_in_memory() -> Path | None:
    """A folder of the machine whose files are in memory, if it has one with room where programs may run, too."""
    try:
        facts = os.statvfs(_MEMORY)
    except OSError:
        return None
    is_fit = facts.f_bavail * facts.f_frsize >= _ROOM and not facts.f_flag & os.ST_NOEXEC
    return _MEMORY if is_fit and os.access(_MEMORY, os.W_OK | os.X_OK) else None


class SuiteServer(EmbeddedServer):
    """A server of databases that come and go, each migrated as `template` is."""

    _administration: psycopg.Connection | None = None

    def start(self) -> None:
        """Start it and make it quick."""
        super().start()
        self._administer()
        for name, value in _SETTINGS.items():
            self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.stop()
        super().start()
        self._administer()
        # A password is checked by hashing it thousands of times, at both ends of each connection.
        self.execute("SET scram_iterations = 1")
        for url in (self.url, self.superuser_url):
            words = conninfo.conninfo_to_dict(url)
            role = sql.Identifier(str(words["user"]))
            self.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, words["password"]))

    def stop(self) -> None:
        """Stop it."""
        if self._administration is not None:
            self._administration.close()
            self._administration = None
        super().stop()

    def create(self, name: str, template: str = "template1") -> None:
        """A database as `template` is, whose schema belongs to the application. Nobody may be connected to that."""
        # On a disk, copied files cost more than what is written of them to the log.
        strategy = "FILE_COPY" if self._home.is_relative_to(_MEMORY) else "WAL_LOG"
        statement = "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY {}"
        self.execute(sql.SQL(statement).format(*map(sql.Identifier, (name, APPLICATION, template)), sql.SQL(strategy)))

    def drop(self, name: str) -> None:
        """End the database and every connection to it; nothing if it is gone already."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def url_of(self, name: str) -> str:
        """For the application."""
        return conninfo.make_conninfo(self.url, dbname=name)

    def set_reachable(self, database: Database, is_reachable: bool) -> None:
        """Let a database go away, as when its machine is gone, with every connection to it; or come back."""
        name = conninfo.conninfo_to_dict(database.url)["dbname"]
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        self.execute(allow.format(sql.Identifier(str(name)), sql.Literal(is_reachable)))
        if not is_reachable:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
            self.execute(sql.SQL(end).format(name))

    @contextmanager
    def database(self, name: str, template: str = "template1", pool_size: int = 8) -> Iterator[Database]:
        """A database for as long as it is needed."""
        self.create(name, template)
        database = Database(self.url_of(name), pool_size=pool_size)
        try:
            yield database
        finally:
            database.close()
            self.drop(name)

    def execute(self, statement: str | sql.Composed) -> None:
        """As superuser."""
        assert self._administration is not None, "the server does not run"
        self._administration.execute(statement.encode() if isinstance(statement, str) else statement)

    def _administer(self) -> None:
        self._administration = psycopg.connect(self.superuser_url, autocommit=True)
