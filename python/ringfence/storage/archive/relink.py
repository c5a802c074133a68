"""Parts whose file was written anew since the database was like this: found again by their number.

A database that was restored from a backup of before an erasure names files that are gone; beside them stands the one
file of the same day and part that took their place. It is taken when it has its checksum and as many rows.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from ringfence.database.connection import Database
from ringfence.storage.archive import parts
from ringfence.storage.archive.parts import Part
from ringfence.storage.archive.place import ArchivePlace, place_of_url

if TYPE_CHECKING:
    from ringfence.storage.archive.file import WrittenFile

log = structlog.get_logger()


def relink_parts(database: Database) -> int:
    """Let parts whose file is missing be the file that took its place; how many. UnavailableError: a place is away."""
    with database.connection() as connection:
        known = sorted(parts.all_parts(connection), key=lambda part: part.place)
    changed = 0
    for url, of_place in groupby(known, key=lambda part: part.place):
        place = place_of_url(url)
        there = list(of_place)
        for part in [part for part, is_there in zip(there, place.has([part.file for part in there]), strict=True)
                     if not is_there]:  # fmt: skip
            found = _found_again(place, part)
            if found is None:
                log.error("storage.part_missing", place=place.name, file=part.file)
                continue
            with database.connection() as connection:
                changed += parts.replace_file(connection, part, found)
            log.warning("storage.part_relinked", place=place.name, file=part.file, to=found.file)
    return changed


def _found_again(place: ArchivePlace, part: Part) -> WrittenFile | None:
    """The one other file of the day's part, when it is whole."""
    from ringfence.storage.archive.file import WrittenFile, count_rows  # Parquet is loaded when a file is missing

    folder, _, name = part.file.rpartition("/")
    files = [file for file in place.files(folder) if file.startswith(f"{name.partition('-')[0]}-")]
    whole = [file for file in files if file.endswith(".parquet")]
    if len(whole) != 1 or f"{whole[0]}.sha256" not in files:
        return None
    file = f"{folder}/{whole[0]}"
    with place.reading(f"{file}.sha256") as stream:
        noted = bytes(stream.read(64)).decode("ascii", "replace")
    digest, size = place.sha256(file)
    if digest != noted or count_rows(place, file) != part.rows:
        return None
    return WrittenFile(file, part.rows, size, digest, part.first_at, part.last_at)
