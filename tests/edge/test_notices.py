"""What the data plane tells is logged as named events."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.edns
import dns.message
import dns.query
from structlog.testing import capture_logs
from tests.edge.partners import wait_until

from ringfence._native import EnumServer
from ringfence.edge.agent import Agent
from ringfence.edge.enrolment import Identity
from ringfence.edge.policy_store import PolicyStore
from ringfence.settings import EdgeSettings


def test_an_unknown_option_is_logged_with_its_octets(enum_server: EnumServer, tmp_path: Path) -> None:
    host, _, port = enum_server.addresses[0].rpartition(":")
    question = dns.message.make_query("3.2.1.0.5.5.5.0.1.2.1.e164.internal", "NAPTR", use_edns=0)
    question.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.make(65002), b"\x01call-id")])
    dns.query.udp(question, host, timeout=5, port=int(port))
    agent = Agent(
        enum_server,
        enum_server.journal(),
        PolicyStore(tmp_path / "policy"),
        None,
        EdgeSettings(),
        Identity(),
        apex="e164.internal",
    )

    async def run_until_logged() -> None:
        running = asyncio.create_task(agent.run())
        await asyncio.to_thread(wait_until, lambda: any(entry["event"] == "enum.unknown_option" for entry in logs), "")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with capture_logs() as logs:
        asyncio.run(run_until_logged())

    (entry,) = [entry for entry in logs if entry["event"] == "enum.unknown_option"]
    assert entry == {
        "event": "enum.unknown_option",
        "log_level": "warning",
        "peer": "127.0.0.1",
        "code": 65002,
        "length": 8,
        "data": b"\x01call-id".hex(),
    }
