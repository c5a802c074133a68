"""Policy down: follows what the mediation wants by long poll, from what the data plane was started with.

Contents of lists that the document names and the disk lacks are fetched and saved first; with all of them at hand the
document is installed (compiled and switched by pointer swap) before it is saved, so that what is on the
disk has always been enforced; one that does not compile leaves the running policy and is not asked for again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from ringfence._native import list_contents
from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import PolicyHolder
from ringfence.edge.failures import Failures
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
        failures: Failures | None = None,
    ) -> None:
        """`running` is what the holder started with; `installed` is called after each change, in a thread."""
        self._holder = holder
        # When the policy in force was installed, on the monotonic clock; None without one.
        self.installed_at_s = time.monotonic() if running else None
        self._store = store
        self._poll_s = poll_s
        self._installed = installed
        self._failures = failures or Failures()
        # What runs, and what to name in the next poll (differs after a document that was refused).
        self.running_hash = running.hash if running else ""
        self.refused: str | None = None
        self._known: tuple[int, str] = (running.version, running.hash) if running else (0, "")
        self._changing = asyncio.Lock()
        self._asked_again = asyncio.Event()
        self._answered = asyncio.Event()

    @property
    def version(self) -> int:
        """Version enforced, 0 for none."""
        return self._holder.policy_version

    async def run(self, client: MediationClient) -> None:
        """Follow until cancelled."""
        backoff = Backoff()
        while True:
            try:
                wanted = await self._poll(client)
                contents = await self._contents(client, wanted) if wanted is not None else {}
            except RingfenceError as error:
                self._failures.tell("policy.poll_failed", error)
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            if wanted is not None:
                async with self._changing:
                    await asyncio.to_thread(self._take, wanted, contents)
                    self._answered.set()

    async def reset(self) -> int:
        """Drop the policy, on the disk too, and ask for the wanted one at once; the version dropped, 0 for none."""
        async with self._changing:
            dropped = self.version
            await asyncio.to_thread(self._drop)
            self._answered.clear()
            self._asked_again.set()
        return dropped

    async def wait_for_answer(self, timeout_s: float) -> None:
        """Wait until a policy came after `reset`, at most so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._answered.wait()
        except TimeoutError:
            pass

    async def _poll(self, client: MediationClient) -> WantedPolicy | None:
        """One long poll; given up without an answer when `reset` changes what to ask for."""
        self._asked_again.clear()
        poll = asyncio.create_task(client.policy(*self._known, self._poll_s))
        again = asyncio.create_task(self._asked_again.wait())
        try:
            await asyncio.wait((poll, again), return_when=asyncio.FIRST_COMPLETED)
            # An answer that came at the same time is to what was known before.
            return None if again.done() else poll.result()
        finally:
            for task in (poll, again):
                task.cancel()
            await asyncio.gather(poll, again, return_exceptions=True)

    async def _contents(self, client: MediationClient, wanted: WantedPolicy) -> dict[str, bytes]:
        """Every content that the document names: from the disk, and what is not there from the mediation."""
        try:
            held, missing = await asyncio.to_thread(self._store.contents.load_for, wanted.document or b"{}")
        except ValueError:
            return {}  # it will be refused, and told
        for content in missing:
            held[content] = await client.list_content(content)
            log.info("list_content.fetched", content=content, octets=len(held[content]))
            await asyncio.to_thread(self._save_content, content, held[content])
        return held

    def _save_content(self, content: str, octets: bytes) -> None:
        try:
            self._store.contents.save({content: octets})
        except OSError as error:
            log.error("list_content.not_saved", content=content, error=str(error))

    def _drop(self) -> None:
        self._holder.uninstall()
        self._known, self.running_hash, self.refused = (0, ""), "", None
        self.installed_at_s = None
        self._installed()
        self._save(None)

    def _take(self, wanted: WantedPolicy, contents: Mapping[str, bytes]) -> None:
        """Install and save; slow parts (compiling, the disk) run in this thread, off the event loop."""
        if wanted.version == 0:
            self._drop()
            log.info("policy.uninstalled")
            return
        self._known = (wanted.version, wanted.hash)
        try:
            self._holder.install(wanted.document, contents)
        except ValueError as error:
            self.refused = f"version {wanted.version}: {error}"
            log.error("policy.refused", version=wanted.version, error=str(error), running=self._holder.policy_version)
            return
        self.running_hash, self.refused = wanted.hash, None
        self.installed_at_s = time.monotonic()
        log.info("policy.installed", version=wanted.version, origin="mediation")
        self._installed()
        self._save(StoredPolicy(wanted.version, wanted.hash, wanted.document))

    def _save(self, policy: StoredPolicy | None) -> None:
        try:
            if policy is None:
                self._store.clear()
            else:
                self._store.save(policy)
            self._store.contents.keep_only(list_contents(policy.document) if policy is not None else ())
        except OSError as error:
            # It is enforced all the same; only a restart without mediation would miss it.
            log.error("policy.not_saved", error=str(error))
