"""The scout beside mediations that are dark or slow: real sockets, waits scaled."""

from __future__ import annotations

import asyncio

import pytest
from tests.edge.partners import CREDENTIAL

from ringfence.edge import scout
from ringfence.edge.mediation_client import MediationClient

SLOW_S = 0.6
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A mediation to which all edges come at once: later than one that works is waited for, and then as it should."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(SLOW_S)
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize(("used", "goes_to"), [(never_answer, 1), (answer_at_once, 0)])
def test_a_slow_mediation_is_gone_to_only_from_one_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, used: object, goes_to: int
) -> None:
    monkeypatch.setattr(scout, "ASK_TIMEOUT_S", SLOW_S / 3)

    async def run() -> int:
        servers = [await asyncio.start_server(one, "127.0.0.1", 0) for one in (used, answer_late)]  # type: ignore[arg-type]
        addresses = tuple(f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in servers)
        client = MediationClient(addresses, CREDENTIAL)
        try:
            await scout.Scout(1).look(client)
            return client.home.current
        finally:
            await client.close()
            for one in servers:
                one.close()

    assert asyncio.run(run()) == goes_to
