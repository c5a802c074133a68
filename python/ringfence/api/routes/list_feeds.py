"""Feeds of lists: set by an administrator (the mediation opens the URL), seen by all, fetched now by an editor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase
from ringfence.api.routes.lists import ListName
from ringfence.api.security import Administrator, Editor, Viewer
from ringfence.mediation.list_feeds import fetch_feed
from ringfence.policy.lists import bulk, feeds
from ringfence.policy.lists.feeds import Feed

router = APIRouter(prefix="/lists", tags=["lists"])

Url = Annotated[str, Field(min_length=1, max_length=feeds.MAX_URL)]


class FeedBody(BaseModel):
    """From where a list is fed, and how often; `installs`: a changed list is committed and installed at once."""

    model_config = ConfigDict(extra="forbid")
    url: Url
    format: bulk.Format = "csv"
    every_s: Annotated[int, Field(ge=feeds.MIN_EVERY_S, le=feeds.MAX_EVERY_S)] = 3600
    checksum_url: Url | None = None
    installs: bool = False


@router.get("/{name}/feed")
def show_feed(name: ListName, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """A list's feed, and how its last attempts went."""
    with database.connection() as connection:
        return feeds.read_feed(connection, name).as_json()


@router.put("/{name}/feed")
def set_feed(name: ListName, body: FeedBody, identity: Administrator, database: CurrentDatabase) -> dict[str, Any]:
    """Feed a static list from a URL from now on: each new file replaces its entries."""
    feed = Feed(name, set_by=identity.name, set_at=datetime.now(UTC), **body.model_dump())
    with database.connection() as connection:
        return feeds.set_feed(connection, feed).as_json()


@router.post("/{name}/feed/fetch")
def fetch_now(name: ListName, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Fetch now; the feed after it, whose `error` says what went wrong."""
    with database.connection() as connection:
        feed = feeds.read_feed(connection, name)
    return fetch_feed(database, feed).as_json()


@router.delete("/{name}/feed", status_code=status.HTTP_204_NO_CONTENT)
def remove_feed(name: ListName, identity: Administrator, database: CurrentDatabase) -> None:
    """Stop feeding a list; its entries stay."""
    with database.connection() as connection:
        feeds.remove_feed(connection, name, identity.name)
