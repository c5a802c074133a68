"""Dynamic entries down: starts from the disk, then follows the mediation's changes by long poll.

    changes since N ─► EntrySet (what acts, and the last change in it) ─► data plane, by pointer swap ─► disk

The set is installed before it is saved, as a policy is. Each entry's end is compared with this machine's clock by the
data plane, so that it ends without anyone's doing, mediation or not. Changes that do not continue what is held, and a
set that the data plane refuses, lead to asking for the whole set (`have=0`); what runs stays until it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from ringfence.edge.backoff import Backoff
from ringfence.edge.data_plane import EntriesHolder
from ringfence.edge.failures import Failures
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.policy_store import PolicyStore, StoredPolicy
from ringfence.errors import RingfenceError, UnavailableError

FORMAT = 1
# Half of what proxies and middleboxes commonly allow an idle request.
POLL_S = 25.0

log = structlog.get_logger()

# List → pattern → end in microseconds since 1970, None: without end.
Lists = dict[str, dict[str, int | None]]


@dataclass(frozen=True)
class EntrySet:
    """What acts after a change. Immutable; `apply` makes the next one."""

    change: int
    lists: Lists

    @classmethod
    def read(cls, document: bytes) -> EntrySet:
        """From a document (docs/contracts.md 4). ValueError when it is none."""
        tree = json.loads(document)
        try:
            return cls(int(tree["change"]), _lists(tree["lists"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"entries: {error!r}") from None

    def apply(self, changes: Mapping[str, Any]) -> EntrySet:
        """With an answer of the mediation (docs/contracts.md 2). ValueError when it does not continue this set."""
        try:
            change, since = int(changes["change"]), changes["since"]
            added, removed = _lists(changes["lists"]), changes["removed"]
            if since is None:
                return EntrySet(change, added)
            if since != self.change or change < since:
                raise ValueError(f"changes from {since} to {change} do not continue {self.change}")
            lists = {name: dict(entries) for name, entries in self.lists.items()}
            for name, patterns in removed.items():
                for pattern in patterns:
                    lists.get(name, {}).pop(pattern, None)
            for name, entries in added.items():
                lists.setdefault(name, {}).update(entries)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"changes are not told as agreed: {error!r}") from None
        return EntrySet(change, lists)

    def acting(self, now_us: int) -> EntrySet:
        """Without the entries that have ended and the lists that are empty."""
        lists = {
            name: {pattern: end for pattern, end in entries.items() if end is None or end > now_us}
            for name, entries in self.lists.items()
        }
        return EntrySet(self.change, {name: entries for name, entries in lists.items() if entries})

    def document(self) -> bytes:
        """As the data plane compiles it and the disk keeps it."""
        tree = {"format": FORMAT, "change": self.change, "lists": self.lists}
        return json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()

    def __len__(self) -> int:
        return sum(len(entries) for entries in self.lists.values())


NOTHING = EntrySet(0, {})


def stored_entries(store: PolicyStore) -> EntrySet | None:
    """What was held last, from the disk, less what has ended meanwhile; a damaged file is set aside. Never raises."""
    from ringfence._native import DynamicEntries  # only here: other commands do without the data plane

    stored = store.load()
    if stored is None:
        return None
    try:
        held = EntrySet.read(stored.document).acting(_now_us())
        DynamicEntries(held.document())
    except ValueError as error:
        store.set_aside(f"does not compile: {error}")
        return None
    return held


class EntriesFollower:
    """Keeps the data plane's dynamic entries equal to the mediation's."""

    def __init__(self, holder: EntriesHolder, store: PolicyStore, *, poll_s: float = POLL_S) -> None:
        self._holder = holder
        self._store = store
        self._poll_s = poll_s
        self._set = NOTHING
        # What to name in the next poll: 0 asks for the whole set.
        self._have = 0
        # Shared by the parts of one agent, which puts its own here.
        self.failures = Failures()

    def resume(self, held: EntrySet) -> None:
        """Go on from what the data plane was started with (`stored_entries`)."""
        self._set, self._have = held, held.change
        log.info("entries.installed", change=held.change, entries=len(held), origin="disk")

    async def run(self, client: MediationClient) -> None:
        """Follow until cancelled."""
        backoff = Backoff()
        while True:
            try:
                changes = await client.entries(self._have, self._poll_s)
                if changes is not None:
                    await asyncio.to_thread(self._take, changes)
            except RingfenceError as error:
                self.failures.tell("entries.poll_failed", error)
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()

    def _take(self, changes: Mapping[str, Any]) -> None:
        """Install and save; slow parts (compiling, the disk) run in this thread, off the event loop."""
        try:
            following = self._set.apply(changes).acting(_now_us())
            document = following.document()
            self._holder.install_entries(document)
        except ValueError as error:
            self._have = 0
            raise UnavailableError(f"dynamic entries are not taken: {error}; the whole set is asked for") from None
        self._set, self._have = following, following.change
        log.info("entries.installed", change=following.change, entries=len(following), origin="mediation")
        self._save(document)

    def _save(self, document: bytes) -> None:
        try:
            self._store.save(StoredPolicy(self._set.change, hashlib.sha256(document).hexdigest(), document))
        except OSError as error:
            # They act all the same; only a restart without mediation would miss them.
            log.error("entries.not_saved", error=str(error))


def _lists(tree: Mapping[str, Mapping[str, int | None]]) -> Lists:
    return {str(name): dict(entries) for name, entries in tree.items()}


def _now_us() -> int:
    return time.time_ns() // 1000
