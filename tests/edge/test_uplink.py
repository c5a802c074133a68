"""The uplink against a mediation that is down, slow, forgetful, set back: everything arrives exactly once (R4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.edge.partners import CREDENTIAL, FakeMediation, ask, durable, open_server, wait_until

from ringfence._native import EnumServer
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.uplink import Uplink


@contextmanager
def uploading(server: EnumServer, *addresses: str, upload_events: int = 50) -> Iterator[Uplink]:
    """Run an uplink in a loop of its own until the block ends."""
    uplink = Uplink(server.journal(), kind="enum", upload_events=upload_events, upload_ms=20)
    loop = asyncio.new_event_loop()

    async def run() -> None:
        client = MediationClient(addresses, CREDENTIAL, timeout_s=5)
        try:
            await uplink.run(client)
        finally:
            await client.close()

    task = loop.create_task(run())
    thread = Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    try:
        yield uplink
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def assert_exactly_once(mediation: FakeMediation, count: int) -> None:
    wait_until(lambda: mediation.events() >= count, f"{count} events arrive, {mediation.events()} have")
    assert sum(mediation.received().values()) == count
    for rows in mediation.rows.values():
        assert rows == list(range(1, len(rows) + 1))


def test_every_event_arrives_once_and_is_acknowledged(mediation: FakeMediation, enum_server: EnumServer) -> None:
    with uploading(enum_server, mediation.address) as uplink:
        ask(enum_server, 120)
        assert_exactly_once(mediation, 120)
        wait_until(lambda: sum(one[3] for one in enum_server.journal().streams()) == 120, "all are acknowledged")
        assert uplink.is_connected


def test_hello_names_who_answered_though_another_is_in_use_by_then(mediation: FakeMediation) -> None:
    """The log says where events go: by it one audits that nobody went back to an old active pair."""

    async def say() -> tuple[str, str]:
        client = MediationClient((mediation.address, "http://127.0.0.1:1"), CREDENTIAL, timeout_s=5)
        try:
            asking = asyncio.create_task(client.hello("enum", "test", 1, 0))
            await asyncio.sleep(0)
            client.home.failed(0, "no answer")  # as another part does that met an error
            return (await asking).address, client.address
        finally:
            await client.close()

    assert asyncio.run(say()) == (mediation.address, "http://127.0.0.1:1")


def test_events_wait_while_the_mediation_is_down(mediation: FakeMediation, enum_server: EnumServer) -> None:
    mediation.is_down = True
    with uploading(enum_server, mediation.address) as uplink:
        ask(enum_server, 60)
        wait_until(lambda: uplink.failures >= 3, "it keeps trying")
        assert mediation.events() == 0
        mediation.is_down = False
        assert_exactly_once(mediation, 60)


def test_lost_answers_double_nothing(mediation: FakeMediation, enum_server: EnumServer) -> None:
    mediation.forget_answer_every = 2
    with uploading(enum_server, mediation.address, upload_events=20):
        ask(enum_server, 130)
        assert_exactly_once(mediation, 130)


def test_a_slow_mediation_gets_one_upload_at_a_time(mediation: FakeMediation, enum_server: EnumServer) -> None:
    mediation.delay_s = 0.05
    ask(enum_server, 100)
    wait_until(lambda: durable(enum_server) == 100, "all are durable")
    with uploading(enum_server, mediation.address, upload_events=10):
        assert_exactly_once(mediation, 100)
    assert mediation.uploads == 10


def test_smaller_batches_follow_when_one_is_too_large(mediation: FakeMediation, enum_server: EnumServer) -> None:
    mediation.upload_limit = 9
    ask(enum_server, 70)
    with uploading(enum_server, mediation.address, upload_events=50):
        assert_exactly_once(mediation, 70)


def test_a_database_set_back_gets_the_difference_again(mediation: FakeMediation, enum_server: EnumServer) -> None:
    with uploading(enum_server, mediation.address):
        ask(enum_server, 80)
        assert_exactly_once(mediation, 80)
        # Yesterday's backup: the next upload is a gap, and the answer says from where to send.
        for rows in mediation.rows.values():
            del rows[30:]
        ask(enum_server, 5)
        assert_exactly_once(mediation, 85)


def test_the_next_mediation_takes_over(mediation: FakeMediation, enum_server: EnumServer) -> None:
    with uploading(enum_server, "http://127.0.0.1:9", mediation.address):
        ask(enum_server, 40)
        assert_exactly_once(mediation, 40)


def test_events_of_an_earlier_run_are_sent_after_a_restart(mediation: FakeMediation, tmp_path: Path) -> None:
    first = open_server(tmp_path)
    ask(first, 25)
    first.stop()
    del first
    second = open_server(tmp_path)
    try:
        with uploading(second, mediation.address):
            ask(second, 10)
            assert_exactly_once(mediation, 35)
    finally:
        second.stop()


def test_answers_do_not_wait_for_a_hanging_mediation(mediation: FakeMediation, enum_server: EnumServer) -> None:
    mediation.delay_s = 2.0
    with uploading(enum_server, mediation.address):
        ask(enum_server, 10)
        wait_until(lambda: durable(enum_server) == 10, "events are durable")
        start = time.monotonic()
        ask(enum_server, 50)
        assert time.monotonic() - start < mediation.delay_s
