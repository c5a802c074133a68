"""Following NOTIFY channels on one connection: an outage is told of once; what is missed is read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from structlog.testing import capture_logs

from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.mediation import channel_follower
from ringfence.mediation.channel_follower import ChannelFollower
from ringfence.mediation.channels import Channels


@asynccontextmanager
async def following(database: Database, **reloads: Callable[[], Awaitable[None]]) -> AsyncIterator[Channels]:
    """Each reload on the channel of its name."""
    channels = Channels(database)
    followers = [ChannelFollower(channels, name, reload) for name, reload in reloads.items()]
    tasks = [asyncio.create_task(run()) for run in (channels.run, *(follower.run for follower in followers))]
    try:
        yield channels
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends(database: Database) -> None:
    async def follow() -> None:
        attempts = 0
        is_back = asyncio.Event()

        async def reload() -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                # As when the server ends: the connection that listens is gone.
                assert await asyncio.to_thread(_end_the_listening, database)
            else:
                is_back.set()

        async with following(database, ringfence_test=reload):
            await asyncio.wait_for(is_back.wait(), 30)

    assert _told_during(follow) == ["channel.disconnected", "channel.connected_again"]


def test_what_cannot_be_read_is_read_again_soon_and_told_of_once(database: Database) -> None:
    async def follow() -> None:
        attempts = 0
        is_read = asyncio.Event()

        async def reload() -> None:
            nonlocal attempts
            attempts += 1
            if attempts < 4:
                raise UnavailableError("busy")
            is_read.set()

        async with following(database, ringfence_test=reload):
            await asyncio.wait_for(is_read.wait(), channel_follower.RELOAD_EVERY_S)

    assert _told_during(follow) == ["channel.not_read"]


def test_one_that_reads_for_long_delays_no_other(database: Database) -> None:
    """A slow reading of the policy must not keep a fence from being seen."""

    async def follow() -> None:
        begun, ends, notified, seen = (asyncio.Event() for _ in range(4))

        async def slow() -> None:
            begun.set()
            await ends.wait()

        async def quick() -> None:
            if notified.is_set():
                seen.set()

        async with following(database, ringfence_slow=slow, ringfence_quick=quick):
            await asyncio.wait_for(begun.wait(), 30)
            notified.set()
            await asyncio.to_thread(_notify, database, "ringfence_quick")
            await asyncio.wait_for(seen.wait(), 30)
            ends.set()

    asyncio.run(follow())


def test_all_that_follow_a_channel_are_told(database: Database) -> None:
    async def follow() -> None:
        channels = Channels(database)
        told = [channels.hear("ringfence_test") for _ in range(3)]
        listening = asyncio.create_task(channels.run())
        for place in range(2):  # when it listens, and when it is notified
            for one in told:
                await asyncio.wait_for(one.wait(), 30)
                one.clear()
            if place == 0:
                await asyncio.to_thread(_notify, database, "ringfence_test")
        listening.cancel()

    asyncio.run(follow())


def test_a_process_listens_on_one_connection(database: Database) -> None:
    async def follow() -> None:
        ready = [asyncio.Event() for _ in range(5)]

        async def reload(one: asyncio.Event) -> None:
            one.set()

        reloads = {f"ringfence_{place}": lambda one=one: reload(one) for place, one in enumerate(ready)}
        async with following(database, **reloads):
            await asyncio.wait_for(asyncio.gather(*(one.wait() for one in ready)), 30)
            assert await asyncio.to_thread(_count_listening, database) == 1

    asyncio.run(follow())


def _told_during(follow: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    with capture_logs() as logs:
        asyncio.run(follow())
    return [entry["event"] for entry in logs if entry["event"].startswith("channel.")]


def _notify(database: Database, channel: str) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"NOTIFY {channel}")


_LISTENING = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


def _end_the_listening(database: Database) -> int:
    with psycopg.connect(database.url, autocommit=True) as connection:
        return len(connection.execute(f"SELECT pg_terminate_backend(pid) {_LISTENING}").fetchall())


def _count_listening(database: Database) -> int:
    with psycopg.connect(database.url, autocommit=True) as connection:
        return len(connection.execute(f"SELECT pid {_LISTENING}").fetchall())
