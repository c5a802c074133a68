"""The campaign sees a promise that is broken: each of them, on books that were spoiled by hand."""

from __future__ import annotations

from collections import Counter

from tests.campaign import books
from tests.campaign.books import Stream
from tests.campaign.callers import Attempt, Call

ANSWERED = Call(1, [Attempt("enum-1", 10.0, 12.0, False), Attempt("enum-2", 12.0, 12.1, True)])
LOST = Call(2, [Attempt("enum-1", 10.0, 12.0, False), Attempt("enum-2", 12.0, 14.0, False)])
GOOD = Counter({("enum-2", 1): 1})
PAIR_AT = {"http://a": "first", "http://b": "second"}
HOLDERS = {1: "first", 2: "second"}


def test_a_call_may_stay_unanswered_only_while_every_server_was_hurt() -> None:
    assert books.unanswered([ANSWERED, LOST], lambda name, began_s, ended_s: False) is None
    assert books.unanswered([ANSWERED], lambda name, began_s, ended_s: True) is None
    broken = books.unanswered([ANSWERED, LOST], lambda name, began_s, ended_s: (name, began_s) == ("enum-2", 12.0))
    assert broken is not None
    assert broken.startswith("enum-2 lived and did not answer in 2.00 s: call 2")


def test_an_answered_query_is_stored_at_the_server_that_answered() -> None:
    assert books.missing([ANSWERED, LOST], GOOD) == set()
    assert books.missing([ANSWERED], Counter({("enum-1", 1): 1})) == {("enum-2", 1)}


def test_an_event_is_stored_once_and_only_where_it_was_asked() -> None:
    assert books.surplus([ANSWERED], GOOD + Counter({("enum-1", 1): 1})) is None
    assert books.surplus([ANSWERED], Counter({("enum-2", 1): 2})) == "stored more than once: enum-2 1"
    assert books.surplus([ANSWERED], GOOD + Counter({("enum-3", 1): 1})) == "stored, and never asked: enum-3 1"


def test_a_stream_has_a_row_for_each_sequence() -> None:
    assert books.gaps([Stream("enum-1", 7, 3, 3, 0)]) is None
    for wrong in (Stream("enum-1", 7, 3, 2, 0), Stream("enum-1", 7, 3, 3, 1)):
        assert books.gaps([wrong]) == f"streams with a gap: {[wrong]}"


def test_an_edge_goes_to_the_holder_of_the_highest_term_and_never_back() -> None:
    def broken(*events: tuple[str, object]) -> str | None:
        names = {"seen": ("term.seen", "epoch"), "to": ("uplink.connected", "mediation")}
        return books.went_back([{"event": names[e][0], names[e][1]: value} for e, value in events], PAIR_AT, HOLDERS)

    assert broken(("seen", 1), ("to", "http://a"), ("seen", 2), ("to", "http://b"), ("to", "http://b")) is None
    assert "events went to second" in str(broken(("seen", 1), ("to", "http://b")))
    assert "events went to first" in str(broken(("seen", 2), ("to", "http://a")))
    assert "from epoch 2 to 1" in str(broken(("seen", 2), ("seen", 1)))
