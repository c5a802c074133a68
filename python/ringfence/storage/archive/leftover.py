"""Files of the archive that nothing names any more and that are still to be removed.

They are noted in the transaction that took their names away: who removes them may be stopped before, or find the place
away. Rounds of retention try again. What is noted here once answered for calls, maybe for a number that was erased.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.storage.archive.parts import Part
from ringfence.storage.archive.place import place_of_url

KEY = "storage.leftover"

_NOTE = """
INSERT INTO setting (key, value, changed_at) VALUES (%(key)s, %(files)s, now())
ON CONFLICT (key) DO UPDATE SET value = setting.value || excluded.value, changed_at = now()
"""
_STRIKE = """
UPDATE setting SET changed_at = now(), value = coalesce(
    (SELECT jsonb_agg(file) FROM jsonb_array_elements(value) AS file WHERE file <> %(file)s), '[]')
WHERE key = %(key)s
"""


def note_leftover(connection: psycopg.Connection[Any], part: Part) -> None:
    """The part's file is to be removed once this transaction is committed."""
    connection.execute(_NOTE, {"key": KEY, "files": Jsonb([{"place": part.place, "file": part.file}])})


def remove_leftovers(database: Database) -> list[str]:
    """Remove what is noted; one line for each that could not be reached."""
    with database.connection() as connection:
        row = connection.execute("SELECT value FROM setting WHERE key = %s", (KEY,)).fetchone()
    failures = []
    for noted in row[0] if row else ():
        from ringfence.storage.archive.file import remove_file  # Parquet is loaded when there is a file

        try:
            remove_file(place_of_url(noted["place"]), noted["file"])
        except UnavailableError as error:
            failures.append(f"{noted['file']}: is to be removed: {error.message}")
            continue
        with database.connection() as connection:
            connection.execute(_STRIKE, {"key": KEY, "file": Jsonb(noted)})
    return failures
