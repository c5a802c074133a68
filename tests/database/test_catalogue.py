"""The catalogue of tables that grow is the schema's; and nothing of these tables stands in the way of distribution."""

from __future__ import annotations

from typing import Any

from ringfence.database.catalogue import CATALOGUE, DISTRIBUTION_COLUMN, partitioned_tables
from ringfence.database.connection import Database

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('ringfence')"
# Of parents; what a partition has comes from there.
_OF_CATALOGUE = "relnamespace = to_regnamespace('ringfence') AND relname = ANY (%s)"
# A row or a few each device, or each of its streams: they do not grow with calls.
_SMALL = {"device", "device_stream", "device_certificate", "evidence_request"}


def query(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(statement.encode(), values).fetchall()


def names() -> list[str]:
    return [table.name for table in CATALOGUE]


def test_the_partitioned_tables_of_the_schema_are_those_of_the_catalogue(database: Database) -> None:
    rows = query(database, f"{_TABLES} AND relkind = 'p'")
    assert {name for (name,) in rows} == {table.name for table in partitioned_tables()}


def test_every_table_that_tells_devices_apart_is_in_the_catalogue(database: Database) -> None:
    rows = query(
        database,
        f"{_TABLES} AND relkind IN ('r', 'p') AND NOT relispartition AND EXISTS (SELECT FROM pg_attribute"
        f" WHERE attrelid = pg_class.oid AND attname = '{DISTRIBUTION_COLUMN}')",
    )
    assert {name for (name,) in rows} - _SMALL == set(names())


def test_a_table_of_the_catalogue_has_its_time_and_the_distribution_column_and_both_are_always_there(
    database: Database,
) -> None:
    for table in CATALOGUE:
        rows = query(
            database,
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnotnull AND attnum > 0",
            f"ringfence.{table.name}",
        )
        assert {table.time, DISTRIBUTION_COLUMN} <= {name for (name,) in rows}, table.name


def test_every_unique_key_has_the_distribution_column(database: Database) -> None:
    rows = query(
        database,
        f"SELECT relname, indexrelid::regclass::text, ARRAY(SELECT attname::text FROM pg_attribute"
        f" WHERE attrelid = indrelid AND attnum = ANY (indkey)) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
        f" WHERE indisunique AND {_OF_CATALOGUE}",
        names(),
    )
    assert not [(table, index) for table, index, columns in rows if DISTRIBUTION_COLUMN not in columns]


def test_no_foreign_key_trigger_rule_or_identity_stands_in_the_way(database: Database) -> None:
    found = query(
        database,
        f"""SELECT relname, conname::text FROM pg_constraint JOIN pg_class ON pg_class.oid IN (conrelid, confrelid)
              WHERE contype IN ('f', 'x', 't') AND {_OF_CATALOGUE}
            UNION ALL SELECT relname, tgname::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
              WHERE {_OF_CATALOGUE}
            UNION ALL SELECT relname, rulename::text FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class
              WHERE {_OF_CATALOGUE}
            UNION ALL SELECT relname, attname::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
              WHERE (attidentity <> '' OR attgenerated <> '') AND {_OF_CATALOGUE}
            UNION ALL SELECT relname, polname::text FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
              WHERE {_OF_CATALOGUE}""",
        *[names()] * 5,
    )
    assert found == []
