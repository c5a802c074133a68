"""Lists that are fed from a URL: what is to be fetched how often, and how the last attempts went.

A feed replaces its static list's entries by those of a file. Whatever goes wrong (no answer, too large, a wrong
checksum, one bad line, no entry at all) leaves the list as the last good file made it, and is shown. Fetching itself is
`ringfence.mediation.list_feeds`. Only an administrator may set one: the mediation opens the URL from where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from psycopg import Connection
from psycopg.rows import class_row

from ringfence.accounts import audit
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.policy.lists.bulk import Format
from ringfence.policy.lists.catalogue import read_static

MIN_EVERY_S = 60
MAX_EVERY_S = 30 * 86_400
MAX_URL = 2000
RETRY_S = 60  # after the first failure; twice as long after each further one, at most the feed's own interval
_READ = """
    SELECT l.name, f.url, f.format, f.every_s, f.checksum_url, f.installs, f.set_by, f.set_at, f.etag, f.last_modified,
           f.content_sha256, f.tried_at, f.fetched_at, f.error, f.failures
    FROM policy_list_feed f JOIN policy_list l USING (list_id) WHERE l.deleted_at IS NULL
"""


@dataclass(frozen=True)
class Feed:
    """A list's feed. `error` None: the last attempt went well; `fetched_at`: when one last did."""

    name: str
    url: str
    format: Format
    every_s: int
    checksum_url: str | None
    installs: bool
    set_by: str
    set_at: datetime
    etag: str | None = None
    last_modified: str | None = None
    content_sha256: str | None = None
    tried_at: datetime | None = None
    fetched_at: datetime | None = None
    error: str | None = None
    failures: int = 0

    def due_at(self) -> datetime | None:
        """When it is to be fetched next; None: at once."""
        if self.tried_at is None:
            return None
        wait_s = self.every_s
        if self.failures:
            wait_s = min(self.every_s, RETRY_S * 2 ** min(self.failures - 1, 20))
        return self.tried_at + timedelta(seconds=wait_s)

    def as_json(self) -> dict[str, Any]:
        """Every field and `due_at`, times as ISO 8601."""
        times = {
            "set_at": self.set_at,
            "tried_at": self.tried_at,
            "fetched_at": self.fetched_at,
            "due_at": self.due_at(),
        }
        return self.__dict__ | {name: time.isoformat() if time else None for name, time in times.items()}


def set_feed(connection: Connection, feed: Feed) -> Feed:
    """Feed a static list from a URL from now on. InvalidInputError names what cannot be."""
    _check_url("url", feed.url)
    if feed.checksum_url is not None:
        _check_url("checksum_url", feed.checksum_url)
    if not MIN_EVERY_S <= feed.every_s <= MAX_EVERY_S:
        raise _invalid(f"every_s: {feed.every_s}: expected {MIN_EVERY_S} to {MAX_EVERY_S} seconds")
    known = read_static(connection, feed.name, lock=True)
    connection.execute(
        """
        INSERT INTO policy_list_feed (list_id, url, format, every_s, checksum_url, installs, set_by, set_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (list_id) DO UPDATE SET
            url = excluded.url, format = excluded.format, every_s = excluded.every_s,
            checksum_url = excluded.checksum_url, installs = excluded.installs, set_by = excluded.set_by,
            set_at = excluded.set_at, etag = NULL, last_modified = NULL, content_sha256 = NULL, tried_at = NULL,
            error = NULL, failures = 0
        """,
        (
            *(known.list_id, feed.url, feed.format, feed.every_s, feed.checksum_url, feed.installs),
            *(feed.set_by, feed.set_at),
        ),
    )
    detail = {"url": feed.url, "every_s": feed.every_s, "format": feed.format, "installs": feed.installs}
    audit.record(connection, feed.set_by, "list.feed", feed.name, detail)
    return read_feed(connection, feed.name)


def remove_feed(connection: Connection, name: str, actor: str) -> None:
    """Stop feeding a list; its entries stay."""
    feed = read_feed(connection, name)
    known = read_static(connection, name)
    connection.execute("DELETE FROM policy_list_feed WHERE list_id = %s", (known.list_id,))
    audit.record(connection, actor, "list.feed_end", name, {"url": feed.url})


def find_feed(connection: Connection, name: str) -> Feed | None:
    """A list's feed."""
    with connection.cursor(row_factory=class_row(Feed)) as cursor:
        return cursor.execute(_READ + " AND l.name = %s", (name,)).fetchone()


def read_feed(connection: Connection, name: str) -> Feed:
    """As `find_feed`. NotFoundError."""
    feed = find_feed(connection, name)
    if feed is None:
        raise NotFoundError(f"list {name!r} is not fed from a URL")
    return feed


def due_feeds(connection: Connection, now: datetime) -> list[Feed]:
    """The feeds whose time has come."""
    with connection.cursor(row_factory=class_row(Feed)) as cursor:
        feeds = cursor.execute(_READ + " ORDER BY f.tried_at NULLS FIRST").fetchall()
    return [feed for feed in feeds if (due := feed.due_at()) is None or due <= now]


def record_attempt(connection: Connection, before: Feed, after: Feed) -> None:
    """Keep how an attempt went, unless the feed was set anew meanwhile."""
    connection.execute(
        """
        UPDATE policy_list_feed SET etag = %s, last_modified = %s, content_sha256 = %s, tried_at = %s, fetched_at = %s,
            error = %s, failures = %s
        WHERE list_id = (SELECT list_id FROM policy_list WHERE name = %s AND deleted_at IS NULL) AND set_at = %s
        """,
        (
            *(after.etag, after.last_modified, after.content_sha256, after.tried_at, after.fetched_at),
            *(after.error, after.failures, before.name, before.set_at),
        ),
    )


def failed(feed: Feed, now: datetime, why: str) -> Feed:
    """The feed after an attempt that failed."""
    return replace(feed, tried_at=now, error=why[:500], failures=feed.failures + 1)


def went_well(feed: Feed, now: datetime, *, etag: str | None, last_modified: str | None, sha256: str | None) -> Feed:
    """The feed after an attempt that brought its file, or that nothing is new."""
    return replace(
        feed,
        etag=etag,
        last_modified=last_modified,
        content_sha256=sha256,
        tried_at=now,
        fetched_at=now,
        error=None,
        failures=0,
    )


def _check_url(field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - says whether it is a number
    except ValueError as error:
        raise _invalid(f"{field}: {url!r}: {error}") from None
    is_web = parts.scheme in ("http", "https") and parts.hostname
    is_file = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    if len(url) > MAX_URL or not (is_web or is_file):
        raise _invalid(f"{field}: {url!r}: expected https://HOST/PATH, http://HOST/PATH or file:///PATH")
    if parts.username or parts.password:
        raise _invalid(f"{field}: holds a password, which would be shown; use a source that needs none")


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="invalid.feed")
