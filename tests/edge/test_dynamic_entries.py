"""Dynamic entries on the edge: what it makes of the mediation's changes, and what it keeps on its disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.edge.partners import open_server

from ringfence._native import EnumServer
from ringfence.edge.dynamic_entries import NOTHING, EntriesFollower, EntrySet, stored_entries
from ringfence.edge.policy_store import PolicyStore
from ringfence.errors import UnavailableError

SOON_US = time.time_ns() // 1000 + 3_600_000_000


def changes(change: int, since: int | None, lists: Any = None, removed: Any = None) -> dict[str, Any]:
    return {"format": 1, "change": change, "since": since, "lists": lists or {}, "removed": removed or {}}


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    return PolicyStore(tmp_path / "entries", "entries")


def test_changes_are_applied_one_after_the_other() -> None:
    first = NOTHING.apply(changes(5, None, {"a": {"+1210*": None, "+1211*": 9}}))
    second = first.apply(changes(7, 5, {"a": {"+1211*": None}, "b": {"+44*": 3}}, {"a": ["+1210*"], "gone": ["+1*"]}))
    assert (second.change, second.lists) == (7, {"a": {"+1211*": None}, "b": {"+44*": 3}})
    assert (first.change, first.lists) == (5, {"a": {"+1210*": None, "+1211*": 9}})
    assert second.acting(3).lists == {"a": {"+1211*": None}}


@pytest.mark.parametrize(
    "answer",
    [changes(9, 4), changes(9, 6), changes(4, 5), {}, changes(9, 5, {"a": 1}), changes(9, 5, {}, {"a": 1})],
)
def test_changes_that_do_not_continue_are_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"continue|agreed"):
        EntrySet(5, {}).apply(answer)


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from("ab"), st.sampled_from(["+1*", "+2*", "+3*"]), st.none() | st.just(9)),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_one_delta_over_many_changes_equals_the_whole_set(
    steps: list[tuple[bool, str, str, int | None]], at: int
) -> None:
    def state(until: int) -> dict[str, dict[str, int | None]]:
        lists: dict[str, dict[str, int | None]] = {"a": {}, "b": {}}
        for is_added, name, pattern, end in steps[:until]:
            if is_added:
                lists[name][pattern] = end
            else:
                lists[name].pop(pattern, None)
        return lists

    touched = {(name, pattern) for _, name, pattern, _ in steps[at:]}
    now = state(len(steps))
    added = {n: {p: now[n][p] for m, p in touched if m == n and p in now[n]} for n in "ab"}
    removed = {n: [p for m, p in touched if m == n and p not in now[n]] for n in "ab"}
    held = EntrySet(at, state(at))
    delta = held.apply(changes(100, at, added, removed))
    assert delta.acting(0) == NOTHING.apply(changes(100, None, now)).acting(0)


def test_what_was_taken_is_on_the_disk_and_acts_from_the_start_of_the_next_server(
    enum_server: EnumServer, store: PolicyStore, tmp_path: Path
) -> None:
    follower = EntriesFollower(enum_server, store)
    follower._take(changes(5, None, {"a": {"+1210*": SOON_US, "+1211*": 1}}))
    assert enum_server.entries_change == 5
    stored = store.load()
    assert stored is not None
    assert json.loads(stored.document) == {"format": 1, "change": 5, "lists": {"a": {"+1210*": SOON_US}}}
    held = stored_entries(store)
    assert held is not None
    again = open_server(tmp_path / "again", None, held.document())
    try:
        assert again.entries_change == 5
    finally:
        again.stop()
    resumed = EntriesFollower(enum_server, store)
    resumed.resume(held)
    assert resumed._have == 5


def test_a_damaged_file_is_set_aside_and_the_whole_set_asked_for(
    enum_server: EnumServer, store: PolicyStore, tmp_path: Path
) -> None:
    follower = EntriesFollower(enum_server, store)
    follower._take(changes(5, None, {"a": {"+1210*": SOON_US}}))
    file = tmp_path / "entries" / "installed"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert stored_entries(store) is None
    assert EntriesFollower(enum_server, store)._have == 0
    assert file.with_suffix(".damaged").exists()


def test_entries_that_do_not_compile_leave_those_that_run(enum_server: EnumServer, store: PolicyStore) -> None:
    follower = EntriesFollower(enum_server, store)
    follower._take(changes(5, None, {"a": {"+1210*": SOON_US}}))
    with pytest.raises(UnavailableError, match="not taken"):
        follower._take(changes(6, 5, {"a": {"1210": None}}))
    assert (enum_server.entries_change, follower._have) == (5, 0)
    follower._take(changes(7, None, {"a": {"+1210*": SOON_US}}))
    assert (enum_server.entries_change, follower._have) == (7, 7)
