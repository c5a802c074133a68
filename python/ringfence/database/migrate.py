"""Whether a database has this version's schema; where not, `upgrade` brings it there.

A mediation that finds its schema current, as nearly always, does without Alembic, whose import would be a good part of
its start.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import psycopg
from psycopg import sql

from ringfence.database.connection import SCHEMA, Database, describe
from ringfence.database.sight import ensure_views
from ringfence.errors import UnavailableError


def migrate(database: Database) -> None:
    """Create or upgrade the schema; does nothing when it is current.

    ConfigurationError when the database was upgraded by a newer Ringfence, UnavailableError when it cannot be reached.
    """
    if _revision(database) != max(known_revisions()):
        from ringfence.database.upgrade import upgrade

        upgrade(database)
    ensure_views(database)


@cache
def known_revisions() -> frozenset[str]:
    """Every revision of the schema that this version can bring up to its own: `0001` of `0001_first.py`."""
    steps = (files("ringfence.database") / "migrations" / "versions").iterdir()
    return frozenset(step.name.split("_")[0] for step in steps if step.name.endswith(".py"))


def _revision(database: Database) -> str | None:
    """The schema's revision; None: there is none."""
    table = sql.Identifier(SCHEMA, "alembic_version")
    try:
        with psycopg.connect(database.url) as connection:
            if connection.execute("SELECT to_regclass(%s)", (table.as_string(),)).fetchone() == (None,):
                return None
            row = connection.execute(sql.SQL("SELECT version_num FROM {}").format(table)).fetchone()
    except psycopg.OperationalError as error:
        raise UnavailableError(f"database {describe(database.url)}: {str(error).strip().splitlines()[0]}") from error
    return str(row[0]) if row else None
