"""Connections to the database: one pool a process, one transaction a `with`.

The embedded server and an external one look alike from here. Whatever makes the database unreachable comes out as
UnavailableError; a mistake in SQL or data stays what psycopg raised.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import psycopg
import structlog
from psycopg import conninfo
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from ringfence.database import sight
from ringfence.database.cluster import embedded_url
from ringfence.database.programs import OLDEST_MAJOR
from ringfence.errors import ConfigurationError, FencedError, UnavailableError
from ringfence.settings import Settings

SCHEMA = "ringfence"
# How long one caller waits for a connection: shorter than what an HTTP client waits for us.
CHECKOUT_TIMEOUT_S = 5.0
# The pool gives up an attempt to connect after this long and tries afresh for the next caller, so that a database that
# was away for an hour is used again within a second of its return.
_RECONNECT_S = 1.0
_IDLE_S = 300.0
# A server whose machine is gone says nothing: nobody waits longer than this for its host's turn in the URL, and a
# connection to it is given up within ten to fifteen seconds (the kernel's own patience is a quarter of an hour).
_VANISHED_IS_NOTICED = {
    "connect_timeout": 3,  # s, of each host
    "keepalives_idle": 5,  # s
    "keepalives_interval": 3,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}

# SQLSTATEs that say "not now", beside a connection that is simply gone (PostgreSQL documentation, appendix A).
_UNAVAILABLE_CLASSES = (
    "08",  # connection exception
    "53",  # insufficient resources: disk full, too many connections
    "57P",  # operator intervention: shutdown, crash, starting up
)
_READ_ONLY = "25006"  # we still talk to what has become a standby

log = structlog.get_logger(__name__)


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, pool_size: int = 10, *, checkout_timeout_s: float = CHECKOUT_TIMEOUT_S) -> None:
        """Open the pool without waiting for the database; `url` is any libpq URL or connection string."""
        self.url = url = lasting(url)
        self.checkout_timeout_s = checkout_timeout_s
        # Why nothing may be changed any more (another pair is active); None while all may.
        self.fence: str | None = None
        self._pool: ConnectionPool[psycopg.Connection[tuple[Any, ...]]] = ConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            open=False,
            configure=_configure,
            check=ConnectionPool.check_connection,
            max_idle=_IDLE_S,
            reconnect_timeout=_RECONNECT_S,
            kwargs={"application_name": "ringfence"},
            name="database",
        )
        self._pool.open()

    @contextmanager
    def connection(self, *, even_if_fenced: bool = False) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """One transaction: commits at the end, rolls back on an exception. UnavailableError when it cannot be had.

        Behind a fence it can only read; what would write raises FencedError. `even_if_fenced` is for signing in and for
        the fence itself.
        """
        connection = self._check_out()
        seen_with = sight.present_sight()
        try:
            is_read_only = self.fence is not None and not even_if_fenced
            if is_read_only or connection.read_only:
                connection.read_only = True if is_read_only else None
            if seen_with.is_limited:
                sight.limit(connection, seen_with)
            with connection:
                yield connection
        except psycopg.Error as error:
            if error.sqlstate == _READ_ONLY and self.fence is not None:
                raise FencedError(self.fence) from error
            if error.sqlstate == _READ_ONLY:
                self._pool.drain()  # the URL leads elsewhere by now; no connection of before is of use
            if _is_unavailable(error, connection):
                raise UnavailableError(f"database {describe(self.url)}: {_first_line(error)}") from error
            raise
        finally:
            if seen_with.is_limited:
                self._unlimit(connection)
            self._pool.putconn(connection)

    @contextmanager
    def autocommit(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection whose statements each commit at once: for what cannot run inside a transaction."""
        if self.fence is not None:
            raise FencedError(self.fence)
        with self.connection() as connection:
            connection.rollback()  # nothing is done, but where Citus was told of a limited sight
            connection.autocommit = True
            try:
                yield connection
            finally:
                if not connection.closed:
                    connection.rollback()
                    connection.autocommit = False

    @staticmethod
    def _unlimit(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        try:
            sight.unlimit(connection)
        except psycopg.Error:
            connection.close()  # the pool throws it away: nobody gets it with another's sight

    def statistics(self) -> dict[str, int]:
        """Connections `idle` and `used`, callers `waiting`, and since the start callers and connects that `failed`."""
        found = self._pool.get_stats()
        idle = found.get("pool_available", 0)
        return {
            "idle": idle,
            "used": found.get("pool_size", 0) - idle,
            "waiting": found.get("requests_waiting", 0),
            "failed": found.get("requests_errors", 0),
            "failed_connects": found.get("connections_errors", 0),
        }

    def close(self) -> None:
        """Close all connections; callers that wait for one get UnavailableError."""
        self._pool.close()

    def _check_out(self) -> psycopg.Connection[tuple[Any, ...]]:
        give_up = time.monotonic() + self.checkout_timeout_s
        while True:
            # In slices: the pool begins a new attempt to connect only when somebody comes to ask.
            slice_s = min(_RECONNECT_S, give_up - time.monotonic())
            try:
                return self._pool.getconn(timeout=max(slice_s, 0.001))
            except PoolTimeout:
                if time.monotonic() >= give_up:
                    raise UnavailableError(
                        f"database {describe(self.url)}: no connection within {self.checkout_timeout_s:g} s"
                    ) from None
            except (PoolClosed, TooManyRequests) as error:
                raise UnavailableError(f"database {describe(self.url)}: {error}") from None


def open_database(settings: Settings) -> Database:
    """The database that the settings name: `database.url`, else the embedded one of the data folder.

    Waits up to `database.connect_timeout_s` for it to accept. UnavailableError when it does not, ConfigurationError
    when it never will (not a URL, too old).
    """
    give_up = time.monotonic() + settings.database.connect_timeout_s
    while True:
        try:
            url = settings.database.url or embedded_url(settings.data)
            check_url(url)
            _try(lasting(url), give_up - time.monotonic())
            break
        except UnavailableError:
            if time.monotonic() + 0.1 >= give_up:
                raise
        time.sleep(0.1)
    return Database(url, settings.database.pool_size)


def check_url(url: str) -> None:
    """ConfigurationError, one line, unless libpq can parse `url`. The message never repeats it: it holds a password."""
    try:
        conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "database.url: not a libpq URL: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None


def lasting(url: str) -> str:
    """The URL with what a connection needs that outlives its server, where the URL itself does not say.

    A server that vanished is noticed within seconds; of several hosts it is always the one that takes changes.
    """
    said = conninfo.conninfo_to_dict(url)
    added: dict[str, int | str] = dict(_VANISHED_IS_NOTICED)
    if "," in str(said.get("host") or said.get("hostaddr") or ""):
        added["target_session_attrs"] = "read-write"
    return conninfo.make_conninfo(url, **{name: value for name, value in added.items() if name not in said})


def describe(url: str) -> str:
    """Where a URL leads, for people: without user and password."""
    parts = conninfo.conninfo_to_dict(url)
    hosts = str(parts.get("host") or parts.get("hostaddr") or "local socket").split(",")
    ports = str(parts.get("port") or "").split(",")
    places = [
        f"{host}:{port}" if port and not host.startswith("/") else host
        for host, port in zip_longest(hosts, ports[: len(hosts)], fillvalue=ports[-1])
    ]
    return f"{parts.get('dbname') or ''}@{','.join(places)}"


def _try(url: str, remaining_s: float) -> None:
    patience_s = max(2, math.ceil(remaining_s))  # libpq takes 1 as 2
    try:
        with psycopg.connect(url, connect_timeout=patience_s, application_name="ringfence") as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        raise UnavailableError(f"database {describe(url)} cannot be reached: {_first_line(error)}") from None
    if version < OLDEST_MAJOR * 10_000:
        raise ConfigurationError(
            f"database {describe(url)} is PostgreSQL {version // 10_000}: {OLDEST_MAJOR} or newer is needed"
        )


def _configure(connection: psycopg.Connection[Any]) -> None:
    # Not in the connection string: a user's URL may have its own `options`, and poolers drop them.
    connection.execute(f"SET search_path TO {SCHEMA}")
    connection.execute("SET timezone TO 'UTC'")
    connection.commit()


def _is_unavailable(error: psycopg.Error, connection: psycopg.Connection[Any]) -> bool:
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError) or connection.broken
    return state.startswith(_UNAVAILABLE_CLASSES) or state == _READ_ONLY


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
