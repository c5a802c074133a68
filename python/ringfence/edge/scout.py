"""Looks for the active mediation among the others of the list: an edge goes where the highest term is by itself.

Each round asks every address that is not in use for its term, and shows the highest one seen: so an old active that
came back learns from its own edges that it is fenced, within one round. The edge moves when another address answers
with a higher term, or answers at all while the one in use does not: then also one that is slow to, as it is right after
a failover, when every edge brings what it kept.
"""

from __future__ import annotations

import asyncio
import time

from ringfence.edge.mediation_client import MediationClient
from ringfence.errors import RingfenceError

# A mediation that takes longer to say its term is not one to move to from one that works.
ASK_TIMEOUT_S = 2.0
# From one that does not answer any more, a slow one is better than none.
PATIENCE_S = 10.0


class Scout:
    """One of an edge, on a client of its own."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s

    async def run(self, client: MediationClient) -> None:
        """Look until cancelled."""
        while True:
            await self.look(client)
            await asyncio.sleep(self._interval_s)

    async def look(self, client: MediationClient) -> None:
        """One round."""
        home = client.home
        before = home.highest.term
        others = [index for index in range(len(home.addresses)) if index != home.current]
        used = home.current
        asked = {index: asyncio.create_task(_takes_work(client, index, PATIENCE_S)) for index in others}
        try:
            began = time.monotonic()
            is_there = await _takes_work(client, used, ASK_TIMEOUT_S)
            patience_s = ASK_TIMEOUT_S if is_there else PATIENCE_S
            await asyncio.wait(asked.values(), timeout=max(0.0, began + patience_s - time.monotonic()))
            found = [index for index, task in asked.items() if task.done() and task.result()]
        finally:
            for task in asked.values():
                task.cancel()
        if is_there and home.highest.term == before:
            return
        for index in found:
            # What was asked first may have answered with a term that is not the highest any more.
            if await _takes_work(client, index, patience_s):
                home.settle(index)
                return


async def _takes_work(client: MediationClient, index: int, timeout_s: float) -> bool:
    try:
        await client.ask_term(index, timeout_s)
    except RingfenceError:
        return False
    return True
