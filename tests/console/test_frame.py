"""What every page stands in: when it asks again, and what is seen when an answer fails."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.console.conftest import answer_of

from ringfence.console import frame
from ringfence.console.frame import Region, every, load
from ringfence.errors import UnavailableError


class _Region:
    """Stands for a region of a page that no browser shows."""

    def __init__(self, state: str = "loading") -> None:
        self.state = state
        self.words = ""

    def failed(self, words: str, retry: Callable[[], object] | None = None) -> None:
        self.state, self.words = "failed", words


def _load(region: _Region, fault: Exception) -> bool:
    async def work() -> None:
        raise fault

    return answer_of(load(cast(Region, region), work)) is True


def test_what_was_expected_to_fail_says_why() -> None:
    region = _Region()
    assert not _load(region, UnavailableError("the database is away"))
    assert (region.state, region.words) == ("failed", "the database is away")


@pytest.mark.parametrize(("before", "after"), [("loading", "failed"), ("content", "content")])
def test_a_fault_that_nobody_expected_goes_to_the_log_and_leaves_no_page_waiting(before: str, after: str) -> None:
    region = _Region(before)
    with pytest.raises(ZeroDivisionError):
        _load(region, ZeroDivisionError())
    assert region.state == after


def test_a_page_whose_browser_went_elsewhere_asks_nothing_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[Callable[[], Coroutine[Any, Any, None]]] = []
    client = SimpleNamespace(has_socket_connection=True)
    timer = SimpleNamespace(
        timer=lambda seconds, tick, immediate: ticks.append(tick), context=SimpleNamespace(client=client)
    )
    monkeypatch.setattr(frame, "ui", timer)
    asked: list[bool] = []

    async def ask() -> None:
        asked.append(client.has_socket_connection)

    every(2.0, ask)
    for is_there in (True, False, False, True):
        client.has_socket_connection = is_there
        answer_of(ticks[0]())
    assert asked == [True, True]
