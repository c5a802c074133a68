"""A number is erased from archived days too: files are written anew, whole or not at all, and no other row changes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.storage.conftest import NOW, Make, Storage, fill, query
from tests.storage.test_archive import all_parts, everywhere
from tests.storage.test_archive_s3 import endpoint, storage_at

from ringfence.accounts.audit import AuditFilter, find_entries
from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.mediation.jobs import Progress
from ringfence.mediation.number_records import erase, read_records
from ringfence.storage.archive import erasing
from ringfence.storage.archive import file as archive_file
from ringfence.storage.archive.leftover import remove_leftovers
from ringfence.storage.archive.place import ArchivePlace
from ringfence.storage.archive.relink import relink_parts

__all__ = ["endpoint"]
# Of `fill`: the caller of every 97th call, so of calls 3, 100, 197 and 294 of a day of 300.
NUMBER = 12105550003
PER_DAY = 4


@pytest.fixture
def kept(storage: Make, tmp_path: Path, database: Database) -> Storage:
    """Days that answer from the archive (9 and 8 ago), that are copied (4 ago) and that are not (1 ago)."""
    for ago in (1, 4, 8, 9):
        fill(database, "enum_event", ago, 300)
    fill(database, "sip_event", 9, 300)
    kept = storage(tmp_path / "archive", enum={"days": 5}, sip={"days": 5})
    kept.round()
    assert len(all_parts(database)) == 4
    return kept


def erased(database: Database) -> dict[str, Any]:
    return erase(database, f"+{NUMBER}", "ada", Progress())


def as_marked(rows: list[tuple[Any, ...]], mark: str, places: dict[str, int]) -> list[tuple[Any, ...]]:
    """What erasing makes of rows, said independently of it."""

    def one(row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for side in ("source", "destination"):
            if values[places[side]] == NUMBER:
                values[places[side]], values[places[f"{side}_raw"]] = 0, mark
                if "details" in places and str(NUMBER) in (values[places["details"]] or ""):
                    values[places["details"]] = None
        return tuple(values)

    return sorted((one(row) for row in rows), key=lambda row: [str(value) for value in row])


def columns_of(database: Database, table: str) -> dict[str, int]:
    names = query(
        database,
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        table,
    )
    return {name: place for place, (name,) in enumerate(names)}


def octets_of(folder: Path) -> Iterator[bytes]:
    return (file.read_bytes() for file in folder.rglob("*.parquet"))


def test_a_number_goes_from_archived_days_and_every_other_value_stays(
    database: Database, kept: Storage, tmp_path: Path
) -> None:
    before = {table: everywhere(database, table) for table in ("enum_event", "sip_event")}
    untouched = all_parts(database)
    assert len(read_records(database, f"+{NUMBER}", NOW)["calls"]) == 5 * PER_DAY
    done = erased(database)
    assert (done["enum"], done["sip"], done["archived"], done["files"]) == (2 * PER_DAY, 0, 3 * PER_DAY, 3)
    for table, rows in before.items():
        assert everywhere(database, table) == as_marked(rows, done["mark"], columns_of(database, table)), table
    assert read_records(database, f"+{NUMBER}", NOW)["calls"] == []
    # The copy of a day that is in the database still was forgotten, and is made anew of marked rows.
    assert [part.released_at is not None for part in all_parts(database)] == [True, True, True]
    kept.round()
    assert len(all_parts(database)) == len(untouched)
    folder = tmp_path / "archive"
    assert sorted(file.name for file in folder.rglob("*.parquet")) == sorted(
        part.file.rsplit("/", 1)[1] for part in all_parts(database)
    )
    for part in all_parts(database):
        path = folder / part.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == part.sha256
        assert path.with_name(f"{path.name}.sha256").read_text().split() == [part.sha256, path.name]
        assert part.rows == 300
    with database.connection() as connection:
        (entry,) = find_entries(connection, AuditFilter(action="number.erase"))
    assert (entry.subject, entry.detail["archived"], entry.detail["files"]) == (done["mark"], 3 * PER_DAY, 3)
    again = erased(database)
    assert (again["enum"], again["archived"], again["files"]) == (0, 0, 0)


def test_an_archive_that_is_away_is_an_error_before_anything_is_changed(
    database: Database, kept: Storage, tmp_path: Path
) -> None:
    before = everywhere(database)
    shutil.move(tmp_path / "archive", tmp_path / "away")
    with pytest.raises(UnavailableError, match="is missing"):
        erased(database)
    shutil.move(tmp_path / "away", tmp_path / "archive")
    assert everywhere(database) == before
    assert erased(database)["files"] == 3


def test_a_file_that_cannot_be_written_leaves_its_part_as_it_was_and_the_rest_can_be_done_again(
    database: Database, kept: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = archive_file.write_day, list[str]()

    def failing(place: ArchivePlace, *values: Any) -> Any:
        if written:
            raise UnavailableError("archive: is full")
        written.append(values[0])
        return write(place, *values)

    monkeypatch.setattr(erasing, "write_day", failing)
    before = everywhere(database)
    with pytest.raises(UnavailableError, match="is full"):
        erased(database)
    assert len(everywhere(database)) == len(before)
    with database.connection() as connection:
        (entry,) = find_entries(connection, AuditFilter(action="number.erase"))
    assert (entry.detail["is_complete"], entry.detail["enum"], entry.detail["files"]) == (False, 2 * PER_DAY, 1)
    monkeypatch.setattr(erasing, "write_day", write)
    assert (erased(database)["enum"], erased(database)["files"]) == (0, 0)
    assert read_records(database, f"+{NUMBER}", NOW)["calls"] == []


def test_a_damaged_file_is_named_and_not_written_over(database: Database, kept: Storage, tmp_path: Path) -> None:
    part = all_parts(database)[0]
    with database.connection() as connection:
        connection.execute("UPDATE archive_part SET sha256 = repeat('0', 64) WHERE file = %s", (part.file,))
    with pytest.raises(UnavailableError, match="reads otherwise than it was written"):
        erased(database)
    assert (tmp_path / "archive" / part.file).exists()


def test_a_file_that_cannot_be_removed_is_said_and_removed_by_a_later_round(
    database: Database, kept: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(self: ArchivePlace, file: str) -> None:
        raise UnavailableError("archive: is read-only")

    with monkeypatch.context() as patch:
        patch.setattr(ArchivePlace, "remove", refusing)
        with pytest.raises(UnavailableError, match="4 files that have the number are to be removed still"):
            erased(database)
    assert read_records(database, f"+{NUMBER}", datetime.now(UTC))["calls"] == []
    names = {part.file for part in all_parts(database)}
    assert kept.round().failures == []
    files = {str(file.relative_to(tmp_path / "archive")) for file in (tmp_path / "archive").rglob("*.parquet")}
    assert files >= names
    assert files == {part.file for part in all_parts(database)}
    assert remove_leftovers(database) == []


def test_a_database_of_before_finds_the_files_that_took_the_place_of_its_own(
    database: Database, kept: Storage, tmp_path: Path
) -> None:
    before = {part.file: part for part in all_parts(database) if part.released_at is not None}
    erased(database)
    rows, after = everywhere(database), all_parts(database)
    assert relink_parts(database) == 0
    with database.connection() as connection:
        for old, new in zip(before.values(), after, strict=True):
            connection.execute(
                "UPDATE archive_part SET file = %s, sha256 = %s, bytes = %s WHERE file = %s",
                (old.file, old.sha256, old.bytes, new.file),
            )
    with pytest.raises(UnavailableError):
        everywhere(database)
    damaged = tmp_path / "archive" / after[0].file
    octets = damaged.read_bytes()
    damaged.write_bytes(octets[:-20] + octets[-1:] + octets[-19:])
    assert relink_parts(database) == len(after) - 1
    damaged.write_bytes(octets)
    assert relink_parts(database) == 1
    assert (everywhere(database), all_parts(database)) == (rows, after)


def test_the_same_in_a_bucket(database: Database, endpoint: str) -> None:
    fill(database, "sip_event", 9, 300)
    query(database, f'UPDATE sip_event SET details = \'{{"asserted":"{NUMBER}"}}\' WHERE sequence < 200 RETURNING 1')
    storage_at(database, endpoint).round()
    before = everywhere(database, "sip_event")
    done = erased(database)
    assert (done["archived"], done["files"]) == (PER_DAY, 1)
    assert everywhere(database, "sip_event") == as_marked(before, done["mark"], columns_of(database, "sip_event"))
