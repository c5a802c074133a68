"""Policy down: follows what the mediation wants by long poll, from what the data plane was started with.

A document is installed (compiled and switched by pointer swap) before it is saved, so that what is on the
disk has always been enforced; one that does not compile leaves the running policy and is not asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import PolicyHolder
from ringfence.edge.mediation_client import MediationClient, WantedPolicy
from ringfence.edge.policy_store import PolicyStore, StoredPolicy
from ringfence.errors import RingfenceError

# Half of what proxies and middleboxes commonly allow an idle request.
POLL_S = 25.0

log = structlog.get_logger()


class PolicyFollower:
    """Keeps the data plane's policy equal to the wanted one."""

    def __init__(
        self,
        holder: PolicyHolder,
        store: PolicyStore,
        *,
        running: StoredPolicy | None = None,
        poll_s: float = POLL_S,
        installed: Callable[[], None] = lambda: None,
    ) -> None:
        """`running` is what the holder started with; `installed` is called after each change, in a thread."""
        self._holder = holder
        self._store = store
        self._poll_s = poll_s
        self._installed = installed
        # What runs, and what to name in the next poll (differs after a document that was refused).
        self.running_hash = running.hash if running else ""
        self.refused: str | None = None
        self._known: tuple[int, str] = (running.version, running.hash) if running else (0, "")

    async def run(self, client: MediationClient) -> None:
        """Follow until cancelled."""
        backoff = Backoff()
        while True:
            try:
                wanted = await client.policy(*self._known, self._poll_s)
            except RingfenceError as error:
                log.warning("policy.poll_failed", code=error.code, error=error.message)
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            if wanted is not None:
                await asyncio.to_thread(self._take, wanted)

    def _take(self, wanted: WantedPolicy) -> None:
        """Install and save; slow parts (compiling, the disk) run in this thread, off the event loop."""
        if wanted.version == 0:
            self._holder.uninstall()
            self._known, self.running_hash, self.refused = (0, ""), "", None
            log.info("policy.uninstalled")
            self._installed()
            self._save(None)
            return
        self._known = (wanted.version, wanted.hash)
        try:
            self._holder.install(wanted.document)
        except ValueError as error:
            self.refused = f"version {wanted.version}: {error}"
            log.error("policy.refused", version=wanted.version, error=str(error), running=self._holder.policy_version)
            return
        self.running_hash, self.refused = wanted.hash, None
        log.info("policy.installed", version=wanted.version, origin="mediation")
        self._installed()
        self._save(StoredPolicy(wanted.version, wanted.hash, wanted.document))

    def _save(self, policy: StoredPolicy | None) -> None:
        try:
            if policy is None:
                self._store.clear()
            else:
                self._store.save(policy)
        except OSError as error:
            # It is enforced all the same; only a restart without mediation would miss it.
            log.error("policy.not_saved", error=str(error))
