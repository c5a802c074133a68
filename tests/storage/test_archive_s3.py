"""The archive in a bucket: the same days, the same answers, over S3's own protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from pyarrow import fs
from tests.storage.conftest import NOW, Storage, days, fill
from tests.storage.test_archive import all_parts, everywhere

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.settings import ArchiveSettings, StorageSettings
from ringfence.storage.archive.place import archive_place, place_of_url
from ringfence.storage.report import storage_report


def s3_server() -> Any:
    """An S3 server on a free port of loopback."""
    # What it lets browsers of other origins ask does not matter here, so the package for that is not needed.
    cors = ModuleType("flask_cors")
    cors.CORS = lambda app: app  # type: ignore[attr-defined]
    sys.modules.setdefault("flask_cors", cors)
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    return ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server on loopback with a bucket `calls`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = s3_server()
    server.start()
    host, port = server.get_host_and_port()
    filesystem = fs.S3FileSystem(
        endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
    )
    filesystem.create_dir("calls")
    place_of_url.cache_clear()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        place_of_url.cache_clear()


def storage_at(database: Database, endpoint: str) -> Storage:
    archive = ArchiveSettings(to="s3://calls/site-1", endpoint=endpoint, region="us-east-1")
    settings = StorageSettings.model_validate({"enum": {"days": 5}, "sip": {"days": 5}, "archive": archive})
    return Storage(database, settings, archive_place(archive))


def test_days_go_to_a_bucket_and_are_asked_there(database: Database, endpoint: str) -> None:
    for ago in (1, 9):
        fill(database, "enum_event", ago, 300)
        fill(database, "sip_event", ago, 300)
    before = {table: everywhere(database, table) for table in ("enum_event", "sip_event")}
    done = storage_at(database, endpoint).round()
    assert [one["is_archived"] for one in done.dropped] == [True, True]
    assert days(database) == [1]
    for table, rows in before.items():
        assert everywhere(database, table) == rows
    part = all_parts(database)[0]
    place = place_of_url(part.place)
    assert place.name == "s3://calls/site-1"
    assert place.sha256(part.file) == (part.sha256, part.bytes)


def test_a_bucket_that_is_not_there_keeps_the_day_and_is_named(database: Database, endpoint: str) -> None:
    fill(database, "enum_event", 9)
    kept = storage_at(database, endpoint)
    assert kept.place is not None
    archive = ArchiveSettings(to="s3://elsewhere", endpoint=endpoint, region="us-east-1")
    kept.place = archive_place(archive)
    done = kept.round()
    assert days(database) == [9]
    assert done.failures[0].startswith("enum_event_20261113: archive s3://elsewhere: ")
    with database.connection() as connection:
        assert storage_report(connection, kept.keeping(), NOW)["reason"] == done.failures[0]


def test_an_answer_that_needs_a_bucket_that_is_gone_is_refused(database: Database, endpoint: str) -> None:
    fill(database, "enum_event", 9)
    storage_at(database, endpoint).round()
    assert days(database) == []
    with database.connection() as connection:
        connection.execute("UPDATE archive_part SET place = replace(place, 'calls', 'gone')")
    with pytest.raises(UnavailableError, match="archive"):
        everywhere(database, "enum_event")
