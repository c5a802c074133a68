"""Bring the schema of a database up to this version of Ringfence, forward only.

Alembic orders the steps (`migrations/versions/`), the steps are SQL by hand. Everything happens in one transaction
under an advisory lock: several mediations may start at once, and a step that fails leaves nothing behind.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import psycopg
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ringfence.database.connection import SCHEMA, Database, describe
from ringfence.database.sight import BY_SITE, MASKED
from ringfence.errors import ConfigurationError, UnavailableError

# Arbitrary, but the same in every version: "ringfence" in a telephone keypad's digits.
ADVISORY_LOCK = 746433623

log = structlog.get_logger(__name__)


def upgrade(database: Database) -> None:
    """Create or upgrade the schema; does nothing when it is current. `migrate` calls it when it must.

    ConfigurationError when the database was upgraded by a newer Ringfence, UnavailableError when it cannot be reached.
    """
    url = database.url
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    try:
        with as_file(files("ringfence.database") / "migrations") as folder, engine.begin() as connection:
            _upgrade(connection, folder, describe(url))
    except (DBAPIError, psycopg.Error) as error:  # a step's SQL goes past SQLAlchemy
        cause = error if isinstance(error, psycopg.Error) else error.orig or error
        first_line = str(cause).strip().splitlines()[0]
        if isinstance(cause, psycopg.OperationalError):
            raise UnavailableError(f"database {describe(url)}: {first_line}") from error
        raise ConfigurationError(f"database {describe(url)}: the schema cannot be upgraded: {first_line}") from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection, folder: Path, where: str) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()
    wanted = scripts.get_current_head()
    if current == wanted:
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationError(
            f"database {where}: its schema ({current}) is newer than this Ringfence knows ({wanted}): upgrade Ringfence"
        )
    for schema in (BY_SITE, MASKED):  # views of the tables that are changed; `migrate` makes them anew
        connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
    command.upgrade(config, "head")
    log.info("database.migrated", before=current, now=wanted)
