"""Feeds fetched: the leader looks what is due, a thread of its own fetches, so that a slow source holds up nothing.

    due ─► GET (conditional, redirects and size limited) ─► checksum ─► import as one revision ─► commit and install
Redirects: at most three, to http or https only, never from https to http. What a source sends is numbers or refused; a
refusal says the line and not its text, so that a URL pointed at something else tells nobody what is there.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urljoin, urlsplit

import httpx
import psycopg
import structlog

from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, RingfenceError, UnavailableError
from ringfence.mediation.sites import first_site
from ringfence.policy.lists import acting, bulk, feeds
from ringfence.policy.lists.feeds import Feed

MAX_BYTES = bulk.MAX_FILE_BYTES
MAX_CHECKSUM_BYTES = 64 << 10
MAX_REDIRECTS = 3
TIMEOUT_S = 15.0  # of each step
DEADLINE_S = 300.0  # of the whole file
_PART = 256 << 10

log = structlog.get_logger()


@dataclass(frozen=True)
class Fetched:
    """A file on the disk, or that nothing is new."""

    is_new: bool
    etag: str | None
    last_modified: str | None
    sha256: str | None


class ListFeeds:
    """Fetches what is due, one feed after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def start_due(self, database: Database) -> None:
        """Begin with what is due, unless the last round still goes on."""
        with database.connection() as connection:
            due = feeds.due_feeds(connection, datetime.now(UTC))
        if due and self._busy.acquire(blocking=False):
            threading.Thread(target=self._run, args=(database, due), name="list-feeds", daemon=True).start()

    def _run(self, database: Database, due: list[Feed]) -> None:
        try:
            for feed in due:
                fetch_feed(database, feed)
        except (psycopg.Error, UnavailableError) as error:
            log.warning("list_feed.stopped", error=str(error).strip().split("\n")[0])
        finally:
            self._busy.release()


def fetch_feed(database: Database, feed: Feed) -> Feed:
    """One attempt, recorded: the feed as it is after it. What goes wrong is its `error`; the list stays then."""
    now = datetime.now(UTC)
    try:
        with tempfile.TemporaryFile() as file:
            fetched = _fetch(feed, file)
            if fetched.is_new and fetched.sha256 != feed.content_sha256:
                _take(database, feed, file, now)
        after = feeds.went_well(
            feed, now, etag=fetched.etag, last_modified=fetched.last_modified, sha256=fetched.sha256
        )
        log.info("list_feed.fetched", list=feed.name, is_new=after.content_sha256 != feed.content_sha256)
    except (RingfenceError, OSError) as error:
        after = feeds.failed(feed, now, _why(error))
        log.warning("list_feed.failed", list=feed.name, error=after.error, failures=after.failures)
    with database.connection() as connection:
        feeds.record_attempt(connection, feed, after)
    return after


def _take(database: Database, feed: Feed, file: IO[bytes], now: datetime) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    actor = f"feed:{feed.name}"
    with database.connection() as connection:
        site = first_site(connection)
    batch = bulk.read_file(_parts(file), size, feed.format, site, _unheard)
    if len(batch) == 0:
        raise InvalidInputError("the file has no entries; the list stays as it is")
    with database.connection() as connection:
        bulk.import_entries(
            connection, feed.name, batch, actor, now, _unheard, replace=True, origin="feed", what="feed"
        )
        if feed.installs:
            acting.commit_list(connection, feed.name, actor, now, message=f"feed of list {feed.name}", install=True)


def _fetch(feed: Feed, file: IO[bytes]) -> Fetched:
    if urlsplit(feed.url).scheme == "file":
        sha256 = _copy(_file_parts(feed.url), file, MAX_BYTES)
        fetched = Fetched(True, None, None, sha256)
    else:
        conditions = {"If-None-Match": feed.etag, "If-Modified-Since": feed.last_modified}
        with _opened(feed.url, {name: value for name, value in conditions.items() if value}) as response:
            etag, last_modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return Fetched(False, etag or feed.etag, last_modified or feed.last_modified, feed.content_sha256)
            sha256 = _copy(response.iter_bytes(_PART), file, MAX_BYTES)
            fetched = Fetched(True, etag, last_modified, sha256)
    if feed.checksum_url is not None:
        _check_sum(feed.checksum_url, sha256)
    return fetched


@contextmanager
def _opened(url: str, conditions: Mapping[str, str]) -> Iterator[httpx.Response]:
    """The answer to a GET after at most MAX_REDIRECTS redirects. UnavailableError."""
    try:
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                with client.stream("GET", url, headers=dict(conditions)) as response:
                    if not response.has_redirect_location:
                        _check_answer(url, response)
                        yield response
                        return
                    url = _redirected(url, response.headers["Location"])
            raise UnavailableError(f"more than {MAX_REDIRECTS} redirects")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url}: {error or type(error).__name__}") from None


def _check_answer(url: str, response: httpx.Response) -> None:
    if response.status_code not in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
        raise UnavailableError(f"{url}: answers {response.status_code} {response.reason_phrase}")


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    was, now = urlsplit(url).scheme, urlsplit(target).scheme
    if now not in ("http", "https") or (was == "https" and now == "http"):
        raise UnavailableError(f"{url}: redirects from {was} to {now or 'nowhere'}, which is not followed")
    return target


def _check_sum(url: str, sha256: str) -> None:
    with tempfile.TemporaryFile() as file:
        if urlsplit(url).scheme == "file":
            _copy(_file_parts(url), file, MAX_CHECKSUM_BYTES)
        else:
            with _opened(url, {}) as response:
                _copy(response.iter_bytes(_PART), file, MAX_CHECKSUM_BYTES)
        file.seek(0)
        told = re.search(rb"\b[0-9a-fA-F]{64}\b", file.read())
    if told is None:
        raise InvalidInputError(f"checksum_url: {url} holds no SHA-256")
    if told[0].decode().lower() != sha256:
        raise InvalidInputError("the file does not have the checksum that its source gives; the list stays as it is")


def _copy(parts: Iterator[bytes], file: IO[bytes], most: int) -> str:
    """Into the file; its SHA-256. InvalidInputError beyond `most` octets or DEADLINE_S."""
    digest, size, end = hashlib.sha256(), 0, time.monotonic() + DEADLINE_S
    for part in parts:
        size += len(part)
        if size > most:
            raise InvalidInputError(f"the file is larger than {most >> 20} MiB")
        if time.monotonic() > end:
            raise UnavailableError(f"the file did not come within {DEADLINE_S:g} s")
        digest.update(part)
        file.write(part)
    return digest.hexdigest()


def _file_parts(url: str) -> Iterator[bytes]:
    with Path(unquote(urlsplit(url).path)).open("rb") as source:
        yield from _parts(source)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(_PART):
        yield part


def _why(error: RingfenceError | OSError) -> str:
    if isinstance(error, OSError):
        return f"the file cannot be read: {error.strerror}"
    faults = error.detail.get("faults")
    if faults:
        lines = ", ".join(str(fault["line"]) for fault in faults[:10])
        return f"{error.detail['fault_count']} lines are no entries: line {lines}; the list stays as it is"
    return error.message


def _unheard(done: int, total: int, phase: str) -> None:
    """A feed shows no progress."""
