"""Lists fed from a URL: taken when it changed, left as the last good file made them when anything is wrong (R8)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.mediation_server import RunningMediation, wait_until

from ringfence.database.connection import Database
from ringfence.mediation.list_feeds import ListFeeds, fetch_feed
from ringfence.mediation.sites import ensure_first_site
from ringfence.policy.lists import catalogue, entries, feeds
from ringfence.policy.lists.feeds import Feed
from ringfence.settings import SiteSettings
from ringfence.vocabulary import Role

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Source(ThreadingHTTPServer):
    """Serves one file with an ETag, and misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = b""
        self.redirect: str | None = None
        self.status = 200
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Source

    def do_GET(self) -> None:
        etag = f'"{hashlib.sha256(self.server.body).hexdigest()[:8]}"'
        if self.path == "/sum":
            return self._answer(200, f"{hashlib.sha256(self.server.body).hexdigest()}  list.csv\n".encode())
        if self.path == "/wrong-sum":
            return self._answer(200, b"0" * 64)
        if self.server.redirect is not None and self.path != "/moved":
            return self._answer(302, b"", Location=self.server.redirect)
        if self.headers.get("If-None-Match") == etag:
            return self._answer(304, b"", ETag=etag)
        return self._answer(self.server.status, self.server.body, ETag=etag)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.server.answers.append(status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
        """Nobody reads it."""


@pytest.fixture
def source() -> Iterator[Source]:
    server = Source()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def listed(database: Database) -> Database:
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings())
        catalogue.create_list(connection, "bad", "static", "ana", NOW)
    return database


def fed(database: Database, url: str, **fields: object) -> Feed:
    values: dict[str, object] = {"format": "csv", "every_s": 3600, "checksum_url": None, "installs": False} | fields
    with database.connection() as connection:
        return feeds.set_feed(connection, Feed("bad", url, set_by="ana", set_at=NOW, **values))  # type: ignore[arg-type]


def held(database: Database) -> list[str]:
    with database.connection() as connection:
        return [entry.pattern for entry in entries.find_entries(connection, "bad").entries]


def revision(database: Database) -> int:
    with database.connection() as connection:
        return catalogue.read_list(connection, "bad").revision


def test_a_changed_file_replaces_the_list_and_an_unchanged_one_is_not_sent(listed: Database, source: Source) -> None:
    source.body = b"+1900*,premium\n+12105550100\n"
    feed = fetch_feed(listed, fed(listed, f"{source.url}/list.csv", checksum_url=f"{source.url}/sum"))
    assert (feed.error, held(listed)) == (None, ["+12105550100", "+1900*"])
    feed = fetch_feed(listed, feed)
    assert (feed.error, source.answers[-1], revision(listed)) == (None, 304, 1)
    source.body = b"+1900*,premium\n"
    feed = fetch_feed(listed, feed)
    assert (feed.error, held(listed), revision(listed)) == (None, ["+1900*"], 2)


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"+1800*\nnonsense\n", 200, "1 lines are no entries: line 2"),
        (b"", 200, "no entries"),
        (b"+1800*\n", 500, "answers 500"),
    ],
)
def test_what_goes_wrong_leaves_the_last_good_list_and_is_shown(
    listed: Database, source: Source, body: bytes, status: int, why: str
) -> None:
    source.body = b"+1900*\n"
    feed = fetch_feed(listed, fed(listed, f"{source.url}/list.csv"))
    source.body, source.status = body, status
    feed = fetch_feed(listed, feed)
    assert feed.error is not None
    assert why in feed.error
    assert "nonsense" not in feed.error
    assert (feed.failures, held(listed)) == (1, ["+1900*"])
    with listed.connection() as connection:
        stored = feeds.read_feed(connection, "bad")
        assert stored == feed
        assert stored.tried_at is not None
        assert stored.due_at() == stored.tried_at + timedelta(seconds=feeds.RETRY_S)


def test_a_wrong_checksum_a_lost_source_and_a_missing_file_are_told(
    listed: Database, source: Source, tmp_path: Path
) -> None:
    source.body = b"+1900*\n"
    feed = fetch_feed(listed, fed(listed, f"{source.url}/l", checksum_url=f"{source.url}/wrong-sum"))
    assert "does not have the checksum" in str(feed.error)
    feed = fetch_feed(listed, fed(listed, f"file://{tmp_path}/none.csv"))
    assert "cannot be read" in str(feed.error)
    assert held(listed) == []
    (tmp_path / "list.txt").write_text("+1900*\n", encoding="utf-8")
    feed = fetch_feed(listed, fed(listed, f"file://{tmp_path}/list.txt", format="numbers"))
    assert (feed.error, held(listed)) == (None, ["+1900*"])


def test_redirects_are_followed_to_the_web_only_and_not_for_ever(
    listed: Database, source: Source, tmp_path: Path
) -> None:
    source.body = b"+1900*\n"
    source.redirect = "/moved"
    assert fetch_feed(listed, fed(listed, f"{source.url}/list.csv")).error is None
    source.redirect = f"file://{tmp_path}"
    assert "not followed" in str(fetch_feed(listed, fed(listed, f"{source.url}/list.csv")).error)
    source.redirect = "/again"
    assert "redirects" in str(fetch_feed(listed, fed(listed, f"{source.url}/list.csv")).error)


def test_the_leaders_work_fetches_what_is_due_and_nothing_twice(listed: Database, source: Source) -> None:
    source.body = b"+1900*\n"
    fed(listed, f"{source.url}/list.csv")
    work = ListFeeds()
    work.start_due(listed)
    wait_until(lambda: held(listed) == ["+1900*"], 30)

    def is_recorded() -> bool:
        with listed.connection() as connection:
            return feeds.read_feed(connection, "bad").fetched_at is not None

    wait_until(is_recorded, 30)
    with listed.connection() as connection:
        assert feeds.due_feeds(connection, datetime.now(UTC)) == []
    before = len(source.answers)
    work.start_due(listed)
    assert len(source.answers) == before


def test_only_an_administrator_sets_a_feed_and_its_changes_can_install_themselves(
    mediation: RunningMediation, source: Source
) -> None:
    source.body = b"+19005550100\n"
    editor, administrator = mediation.client(Role.EDITOR), mediation.client()
    editor.post("lists", json={"name": "bad"})
    policy = b'rules: [{name: bad, destinations: ["list:bad"], action: terminate}]\nlists: {bad: {stored: true}}\n'
    assert editor.post("policy", content=policy).status_code == 200
    body = {"url": f"{source.url}/list.csv", "installs": True}
    assert editor.put("lists/bad/feed", json=body).status_code == 403
    assert administrator.put("lists/bad/feed", json=body).status_code == 200
    fetched: httpx.Response = editor.post("lists/bad/feed/fetch")
    assert (fetched.status_code, fetched.json()["error"]) == (200, None)
    assert editor.get("explain", params={"destination": "+19005550100"}).json()["action"] == "terminate"
    for url in ("ftp://x/y", "file://host/x", "https://user:secret@x/y", "http://"):
        refused = administrator.put("lists/bad/feed", json=body | {"url": url})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid.feed"), url
    assert administrator.delete("lists/bad/feed").status_code == 204
    assert editor.get("lists/bad/feed").status_code == 404
