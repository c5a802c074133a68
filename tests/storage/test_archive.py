"""Closed days go to the archive, verified, before they are dropped; from the drop on the archive answers for them."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from tests.storage.conftest import NOW, Make, days, fill, query

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.storage.archive import file as archive_file
from ringfence.storage.archive import parts
from ringfence.storage.reach import fetch_both
from ringfence.storage.report import storage_report

COUNT = "SELECT device_id, count(*), min(sequence), max(sequence) FROM enum_event GROUP BY device_id"


def all_parts(database: Database) -> tuple[parts.Part, ...]:
    with database.connection() as connection:
        return parts.all_parts(connection)


def everywhere(database: Database, table: str = "enum_event", columns: str = "*") -> list[tuple[Any, ...]]:
    """Every row, wherever it lives, in a fixed order."""
    with database.connection() as connection:
        rows = fetch_both(connection, f"SELECT {columns} FROM {table}", {}, table, None, None)
    return sorted(rows, key=lambda row: [str(value) for value in row])


def test_a_day_is_archived_verified_and_then_let_go_with_nothing_changed(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    for table in ("enum_event", "sip_event"):
        for ago in (1, 4, 9):
            fill(database, table, ago, 500)
    before = {table: everywhere(database, table) for table in ("enum_event", "sip_event")}
    kept = storage(tmp_path / "archive", enum={"days": 5}, sip={"days": 5})
    done = kept.round()
    # What is over its age was archived first; the closed day of four days ago was copied beside it.
    assert sorted(one["partition"] for one in done.archived) == [
        "enum_event_20261113", "enum_event_20261118", "sip_event_20261113", "sip_event_20261118",
    ]  # fmt: skip
    assert [(one["is_archived"], one["rows"]) for one in done.dropped] == [(True, 500), (True, 500)]
    assert days(database) == [4, 1]
    for table, rows in before.items():
        assert everywhere(database, table) == rows
    for part in all_parts(database):
        path = tmp_path / "archive" / part.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == part.sha256
        assert path.with_name(f"{path.name}.sha256").read_text().split() == [part.sha256, path.name]
        assert pq.ParquetFile(path).metadata.num_rows == part.rows == 500
        assert (part.released_at is not None) == (part.day.day == 13)
    assert kept.round().archived == []


def test_calls_that_come_after_the_copy_are_archived_before_the_day_goes(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    kept = storage(tmp_path, enum={"days": 5})
    fill(database, "enum_event", 4, 100)
    kept.round()
    (first,) = all_parts(database)
    fill(database, "enum_event", 4, 7, first=1000)
    rows = everywhere(database)
    kept.round(NOW + timedelta(days=3))
    (second,) = all_parts(database)
    assert (second.part, second.rows, second.file != first.file) == (1, 107, True)
    assert not (tmp_path / first.file).exists()
    assert everywhere(database) == rows
    assert days(database) == []


def test_calls_that_come_after_the_day_has_gone_get_a_part_of_their_own(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    kept = storage(tmp_path, enum={"days": 5})
    fill(database, "enum_event", 9, 100)
    kept.round()
    fill(database, "enum_event", 9, 7, first=1000)
    rows = everywhere(database)
    assert len(rows) == 107
    kept.round()
    assert [(part.part, part.rows) for part in all_parts(database)] == [(1, 100), (2, 7)]
    assert everywhere(database) == rows


def test_age_waits_for_an_archive_that_cannot_take_the_day_and_says_so(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    fill(database, "enum_event", 9)
    kept = storage(tmp_path / "file" / "below", enum={"days": 5})
    done = kept.round()
    assert days(database) == [9]
    assert done.waiting[0] == "enum_event_20261113"
    assert done.failures[0].startswith("enum_event_20261113: archive ")
    with database.connection() as connection:
        assert storage_report(connection, kept.keeping(), NOW)["reason"] == done.failures[0]


def test_a_full_disk_takes_no_day_that_is_not_archived_unless_the_setting_says_so(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    fill(database, "enum_event", 9)
    kept = storage(tmp_path / "file" / "below", used_percent=90.0)
    done = kept.round()
    assert days(database) == [9]
    assert done.waiting[0] == "enum_event_20261113"
    with database.connection() as connection:
        reason = storage_report(connection, kept.keeping(), NOW)["reason"]
    assert reason.startswith("the disk is 90 % full, 85 % is the limit: the oldest days wait for the archive (enum_ev")

    kept = storage(tmp_path / "file" / "below", used_percent=90.0, drop_unarchived=True)
    done = kept.round()
    assert days(database) == []
    assert query(database, "SELECT day::text, why FROM lost_day") == [("2026-11-13", "disk_full")]
    assert [(one["why"], one["is_archived"]) for one in done.dropped] == [("disk_full", False)]
    (detail,) = query(database, "SELECT detail FROM audit WHERE action = 'storage.drop'")[0]
    assert (detail["archived_as"], detail["why"]) == (None, "disk_full")
    kept.used_percent = 10.0
    assert done.made_room == {"at": NOW.isoformat(), "why": "disk_full", "partitions": ["enum_event_20261113"]}
    with database.connection() as connection:
        reason = storage_report(connection, kept.keeping(), NOW)["reason"]
    assert reason == "dropped without an archive, for want of room: enum_event_20261113"
    assert kept.round().made_room == done.made_room
    with database.connection() as connection:
        notes = storage_report(connection, kept.keeping(), NOW)["notes"]
    assert notes == ["1 day of calls went for want of room at 2026-11-22 12:00 UTC (disk_full)"]


class Cut(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("after", ["some rows", "the file", "the record"])
def test_a_round_that_is_cut_short_loses_nothing_and_the_next_one_finishes(
    database: Database, storage: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    fill(database, "enum_event", 9, 300)
    rows = everywhere(database)
    kept = storage(tmp_path, enum={"days": 5})

    def cut(*_: object, **__: object) -> None:
        raise Cut

    places = {
        "some rows": ("ringfence.storage.archive.file._Seen.add", cut),
        "the file": ("ringfence.storage.archive.parts.record_copy", cut),
        "the record": ("ringfence.storage.archive.parts.release", cut),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[after])
        with pytest.raises(Cut):
            kept.round()
    assert everywhere(database) == rows
    assert not list(tmp_path.rglob("*.unfinished"))
    kept.round()
    assert everywhere(database) == rows
    assert days(database) == []


def test_a_file_that_reads_back_otherwise_is_no_archive(
    database: Database, storage: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, "enum_event", 9)
    kept = storage(tmp_path, enum={"days": 5})
    real = archive_file._verify

    def damage(place: Any, name: str, told: Any, rows: int) -> None:
        path = place.folder / name
        octets = bytearray(path.read_bytes())
        octets[len(octets) // 2] ^= 1
        path.write_bytes(octets)
        real(place, name, told, rows)

    monkeypatch.setattr(archive_file, "_verify", damage)
    done = kept.round()
    assert "reads back otherwise" in done.failures[0]
    assert days(database) == [9]
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_missing_file_of_the_archive_is_an_error_never_an_empty_answer(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    fill(database, "enum_event", 9)
    storage(tmp_path, enum={"days": 5}).round()
    (tmp_path / all_parts(database)[0].file).unlink()
    with database.connection() as connection, pytest.raises(UnavailableError, match="archive: "):
        fetch_both(connection, COUNT, {}, "enum_event", None, None)


def test_a_reader_sees_each_call_once_while_days_move_to_the_archive(
    database: Database, storage: Make, tmp_path: Path
) -> None:
    for ago in range(6, 12):
        fill(database, "enum_event", ago, 50)
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with database.connection() as connection:
                rows = fetch_both(connection, "SELECT count(*) FROM enum_event", {}, "enum_event", None, None)
            seen.add(sum(count for (count,) in rows))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        kept = storage(tmp_path, enum={"days": 5})
        while days(database):
            kept.round()
    finally:
        stop.set()
        reader.join()
    assert seen == {300}


def test_a_long_question_delays_the_drop_to_a_later_round(database: Database, storage: Make, tmp_path: Path) -> None:
    fill(database, "enum_event", 9)
    kept = storage(tmp_path, enum={"days": 5})
    with psycopg.connect(database.url) as reader:
        reader.execute("SELECT count(*) FROM ringfence.enum_event")
        done = kept.round()
        assert done.dropped == []
        assert done.failures == ["enum_event_20261113: in use, is tried again in the next round"]
    assert [one["partition"] for one in kept.round().dropped] == ["enum_event_20261113"]
