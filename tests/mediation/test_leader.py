"""Leadership: one at a time, handed over when the leader goes or its connection dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg

from ringfence.database.connection import Database
from ringfence.mediation.leader import Leader, ScheduledWork


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_one_leads_and_another_follows_when_it_goes(database: Database) -> None:
    async def scenario() -> None:
        first, second = Leader(database, ()), Leader(database, ())
        first_task = asyncio.create_task(first.run())
        await until(lambda: first.is_leader)
        second_task = asyncio.create_task(second.run())
        await asyncio.sleep(0.3)
        assert not second.is_leader
        await stop(first_task)
        assert not first.is_leader
        await until(lambda: second.is_leader)
        await stop(second_task)

    asyncio.run(scenario())


def test_a_cut_connection_ends_leadership_before_another_can_lead_for_long(database: Database) -> None:
    async def scenario() -> None:
        leader = Leader(database, ())
        task = asyncio.create_task(leader.run())
        await until(lambda: leader.is_leader)
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        await until(lambda: not leader.is_leader)
        await until(lambda: leader.is_leader)
        await stop(task)

    asyncio.run(scenario())


def test_only_the_leader_works_and_a_failure_does_not_end_it(database: Database) -> None:
    done: list[str] = []

    def fail(_: Database) -> None:
        done.append("failing")
        raise psycopg.OperationalError("away")

    schedule = (
        ScheduledWork("failing", 0.0, fail),
        ScheduledWork("hourly", 3600.0, lambda _: done.append("hourly")),
    )

    async def scenario() -> None:
        leader = Leader(database, schedule)
        task = asyncio.create_task(leader.run())
        await until(lambda: done.count("failing") >= 2)
        await stop(task)

    asyncio.run(scenario())
    assert done.count("hourly") == 1
