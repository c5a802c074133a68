"""Alembic's environment: `ringfence.database.migrate` hands over an open connection inside a transaction."""

from alembic import context

from ringfence.database.connection import SCHEMA

context.configure(connection=context.config.attributes["connection"], version_table_schema=SCHEMA)
context.run_migrations()
