"""A database for more than one test: of a module, of a folder, of the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import conninfo, sql

from ringfence.database.cluster import APPLICATION
from ringfence.database.connection import Database
from ringfence.database.embedded import EmbeddedServer


@contextmanager
def own_database(server: EmbeddedServer, template: str, name: str, pool_size: int = 8) -> Iterator[Database]:
    """Made of the template, gone afterwards."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(APPLICATION), sql.Identifier(template)
            )
        )
    database = Database(conninfo.make_conninfo(server.url, dbname=name), pool_size=pool_size)
    try:
        yield database
    finally:
        database.close()
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
