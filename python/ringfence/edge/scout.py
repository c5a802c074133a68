"""Looks for the active mediation among the others of the list: an edge goes where the highest term is by itself.

Each round asks every address that is not in use for its term, and shows the highest one seen: so an old active that
came back learns from its own edges that it is fenced, within one round. The edge moves when another address answers
with a higher term, or answers at all while the one in use does not.
"""

from __future__ import annotations

import asyncio

from ringfence.edge.mediation_client import MediationClient
from ringfence.errors import RingfenceError

# A mediation that takes longer to say its term is not one to move to.
ASK_TIMEOUT_S = 2.0


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
        is_there, *found = await asyncio.gather(*(_takes_work(client, index) for index in [used, *others]))
        highest = home.highest.term
        if is_there and highest == before:
            return
        for index, takes_work in zip(others, found, strict=True):
            # What was asked first may have answered with a term that is not the highest any more.
            if takes_work and await _takes_work(client, index):
                home.settle(index)
                return


async def _takes_work(client: MediationClient, index: int) -> bool:
    try:
        await client.ask_term(index, ASK_TIMEOUT_S)
    except RingfenceError:
        return False
    return True
