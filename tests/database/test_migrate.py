"""Migrations from nothing equal the SQL; several callers, a newer database, a failing step."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from ringfence.database import migrate as migrate_module
from ringfence.database.connection import SCHEMA, Database
from ringfence.database.migrate import known_revisions, migrate
from ringfence.errors import ConfigurationError

MIGRATIONS = Path(migrate_module.__file__).parent / "migrations"
# The steps from the first to the last; each is named for its SQL file.
STEPS = [Path(step.path).stem for step in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()

# Everything that a migration can make: columns with their types and defaults, constraints, indexes.
DESCRIBE = """
    SELECT 'column', c.relname || '.' || a.attname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                     pg_get_expr(d.adbin, d.adrelid), a.attnum)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
     UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
     UNION ALL
    SELECT 'index', tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = %(schema)s::text
     UNION ALL
    SELECT 'partitioned', c.relname, pg_get_partkeydef(c.oid)
      FROM pg_class c WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'p'
"""


def description(database: Database) -> set[tuple[str, str, str]]:
    with database.connection() as connection:
        rows = connection.execute(DESCRIBE, {"schema": SCHEMA}).fetchall()
    return {(kind, name, what) for kind, name, what in rows if not name.startswith("alembic_version")}


def test_migrations_from_nothing_equal_the_sql(database: Database, empty_database: Database) -> None:
    with empty_database.connection() as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(f"SET LOCAL search_path TO {SCHEMA}")
        for step in STEPS:
            connection.execute((MIGRATIONS / f"{step}.sql").read_text(encoding="utf-8").encode())
    expected = description(empty_database)
    assert any(name == "enum_event.time" for _, name, _ in expected)
    assert description(database) == expected


def test_the_steps_are_known_by_their_names() -> None:
    steps = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert known_revisions() == {step.revision for step in steps}
    assert max(known_revisions()) == HEAD


def test_a_current_schema_is_found_so_without_alembic(database: Database) -> None:
    program = (
        "import sys; from ringfence.database.connection import Database;"
        "from ringfence.database.migrate import migrate; migrate(Database(sys.argv[1]));"
        "print(*sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, database.url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before = description(database)
    migrate(database)
    assert description(database) == before


def test_several_mediations_may_migrate_at_once(empty_database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [empty_database] * 4))
    with empty_database.connection() as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_refuses_a_database_newer_than_the_code_in_one_line(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match=r"schema \(9999\) is newer than this Ringfence knows") as caught:
        migrate(database)
    assert "\n" not in caught.value.message


def test_a_failing_step_leaves_nothing_behind(empty_database: Database) -> None:
    with empty_database.connection() as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute("CREATE TABLE call_minute ()")  # in the way of the last table of the first step
    with pytest.raises(ConfigurationError, match="cannot be upgraded") as caught:
        migrate(empty_database)
    assert "\n" not in caught.value.message
    with empty_database.connection() as connection:
        assert connection.execute("SELECT to_regclass('setting'), to_regclass('alembic_version')").fetchone() == (
            None,
            None,
        )
