"""Following a NOTIFY channel: a database that is away is told of once, and looked for until it is back."""

from __future__ import annotations

import asyncio

import psycopg
from structlog.testing import capture_logs

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.mediation.channel_follower import ChannelFollower


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends(database: Database) -> None:
    async def follow() -> None:
        attempts = 0
        is_back = asyncio.Event()

        async def reload() -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 2:
                # As when the server ends: the connection that listens is gone.
                await asyncio.to_thread(_end_the_others, database)
            elif attempts in (3, 4):
                raise UnavailableError("still away")
            elif attempts > 4:
                is_back.set()

        follower = ChannelFollower(database, "ringfence_test", reload)
        following = asyncio.create_task(follower.run())
        await asyncio.to_thread(_notify, database)
        await asyncio.wait_for(is_back.wait(), 30)
        await asyncio.sleep(0)
        following.cancel()

    with capture_logs() as logs:
        asyncio.run(follow())
    assert [entry["event"] for entry in logs if entry["event"].startswith("channel.")] == [
        "channel.disconnected",
        "channel.connected_again",
    ]


def _notify(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("NOTIFY ringfence_test")


def _end_the_others(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
        )
