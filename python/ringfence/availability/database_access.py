"""The node's database for the length of one piece of work, started for it where nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import conninfo
from psycopg.pq import PGconn, Ping

from ringfence.database.cluster import embedded_url, has_embedded
from ringfence.database.connection import lasting
from ringfence.database.embedded import EmbeddedServer
from ringfence.errors import UnavailableError
from ringfence.settings import Settings


@contextmanager
def running_database(settings: Settings) -> Iterator[str]:
    """URL of the application's database. The embedded server is started, and stopped afterwards, unless it runs."""
    if settings.database.url is not None:
        yield lasting(settings.database.url)
        return
    if not has_embedded(settings.data):
        raise UnavailableError(f"database: no embedded PostgreSQL in {settings.data}; start `ringfence up` once")
    url = embedded_url(settings.data)
    if PGconn.ping(url.encode()) == Ping.OK:
        yield url
        return
    with own_server(settings) as server:
        yield server.url


@contextmanager
def own_server(settings: Settings) -> Iterator[EmbeddedServer]:
    """The embedded server, run by us. ConflictError when somebody else runs it."""
    server = EmbeddedServer(settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def renamed(url: str, database: str) -> str:
    """The same server and role, another database."""
    return conninfo.make_conninfo(url, dbname=database)
