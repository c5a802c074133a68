"""Proof of enforcement (E7): which decision belongs to which call, what became of it; cases, and a plain reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.ingest.samples import NOON

from ringfence.analytics.enforcement.matching import LEG_SPREAD
from ringfence.analytics.enforcement.question import EnforcementQuery, Place, Verdict, Window, parse_verdict
from ringfence.analytics.enforcement.report import EnforcementReport, prove
from ringfence.database.connection import Database
from ringfence.database.partitions import ensure_between
from ringfence.errors import InvalidInputError, NotFoundError, UnavailableError
from ringfence.vocabulary import Action, CallResult

ALICE, BOB, CAROL, VOICEMAIL = 12105550123, 12105550144, 14155550100, 12105550199
HOUR = timedelta(hours=1)
Fields = dict[str, Any]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def query(seconds: float, action: Action = Action.ALLOW, **fields: Any) -> Fields:
    """A query of an ENUM server, as its table stores it."""
    return {
        "time": at(seconds), "source": ALICE, "destination": CAROL, "target": 0, "rule_id": 0, "policy_version": 2,
        "latency_ns": 9_000, "peer_port": 40_000, "transport": 1, "direction": 2, "action": int(action), "reason": 2,
        "rcode": 0, "source_class": 1, "destination_class": 1, "source_origin": 1, "peer": "192.0.2.20",
        "source_raw": None, "destination_raw": None, "monitored": None, "device_id": 1, "stream_id": 1,
    } | fields  # fmt: skip


def leg(seconds: float, correlation: int, *, answered: bool = True, rang: bool = True, **fields: Any) -> Fields:
    """A leg of a call, as its table stores it."""
    return {
        "time": at(seconds), "source": ALICE, "destination": CAROL, "correlation": correlation, "total_ms": 9_000,
        "flags": 0, "probe_lost": 0, "pdd_ms": 300 if rang or answered else None,
        "answer_ms": 4_000 if answered else None, "source_port": 5060, "destination_port": 5060, "device_id": 2,
        "transport": 0, "side": 0, "direction": 2, "status": 200 if answered else 403, "released_by": 1,
        "result": int(CallResult.ANSWERED if answered else CallResult.REJECTED), "attestation": 0, "source_class": 1,
        "destination_class": 1, "source_address": "192.0.2.7", "destination_address": "192.0.2.8",
        "call_id": f"{correlation}@sbc", "source_raw": None, "destination_raw": None, "stream_id": 2,
    } | fields  # fmt: skip


@pytest.fixture
def events(database: Database) -> Iterator[psycopg.Connection]:
    """A connection to a database with a server, a probe, and partitions for NOON."""
    with database.connection() as connection:
        connection.execute("INSERT INTO site (name, country) VALUES ('main', 'US')")
        for name, kind in (("enum-1", "enum"), ("probe-1", "probe"), ("probe-2", "probe")):
            connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash)"
                " SELECT %s, %s, site_id, sha256(convert_to(%s, 'UTF8')) FROM site",
                [name, kind, name],
            )
        for table in ("enum_event", "sip_event"):
            ensure_between(connection, table, NOON - HOUR, NOON + HOUR, NOON)
        yield connection


def store(connection: psycopg.Connection, table: str, rows: Iterable[Fields], first: int = 1) -> None:
    for sequence, row in enumerate(rows, first):
        fields = {"sequence": sequence} | row
        names = ", ".join(fields)
        connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(fields))})".encode(), list(fields.values())
        )


def report(connection: psycopg.Connection, **fields: Any) -> EnforcementReport:
    fields = {"start": NOON - HOUR, "end": NOON + HOUR} | fields
    return prove(connection, EnforcementQuery(**fields))


def verdicts(connection: psycopg.Connection, **fields: Any) -> dict[int, str]:
    return {call.correlation: call.verdict for call in report(connection, **fields).calls}


TO_VOICEMAIL = {"destination": VOICEMAIL, "call_id": "beyond@sbc"}


@pytest.mark.parametrize(
    ("action", "legs", "verdict"),
    [
        (Action.ALLOW, [{}], "followed"),
        (Action.ALLOW, [{"answered": False, "rang": False}], "followed"),
        (Action.NONE, [{}], "followed"),
        (Action.TERMINATE, [{}], "ignored"),
        (Action.TERMINATE, [{"answered": False, "rang": False}], "followed"),
        # An SBC may play its refusal as early media; a second leg that rang is a call that went on.
        (Action.TERMINATE, [{"answered": False}], "unproven"),
        (Action.TERMINATE, [{"answered": False}, {"answered": False, "call_id": "beyond@sbc"}], "ignored"),
        (Action.TERMINATE, [{"answered": False}, {"answered": False, "device_id": 3}], "unproven"),
        (Action.REDIRECT, [{}, TO_VOICEMAIL], "followed"),
        (Action.REDIRECT, [{"answered": False, "rang": False}], "followed"),
        (Action.REDIRECT, [{"answered": False, "rang": True, "result": 7, "status": 302}], "followed"),
        (Action.REDIRECT, [{}, {"call_id": "beyond@sbc"}], "ignored"),
        (Action.REDIRECT, [{}], "unproven"),
    ],
)
def test_what_became_of_a_decision(
    events: psycopg.Connection, action: Action, legs: list[Fields], verdict: str
) -> None:
    store(events, "enum_event", [query(0.2, action, target=VOICEMAIL if action is Action.REDIRECT else 0)])
    store(events, "sip_event", [leg(0.3 * place, 7, **fields) for place, fields in enumerate(legs)])
    (call,) = report(events).calls
    assert call.verdict == verdict
    assert [one.matched_by for one in call.decisions] == ["numbers"]
    assert len(call.legs) == len(legs)


def test_a_call_that_nobody_was_asked_about(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.2), query(0.2, destination=BOB)])
    store(events, "sip_event", [leg(0, 7), leg(0, 8, source=BOB)])
    found = report(events)
    assert verdicts(events) == {7: "followed", 8: "unasked"}
    assert found.counts == {"unasked": 1, "followed": 1, "unproven": 0, "ignored": 0}
    assert (found.queries, found.queries_without_call) == (2, 1)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(-2, "followed"), (-2.1, "unasked"), (10, "followed"), (10.1, "unasked")]
)
def test_the_window_takes_what_clocks_and_retries_make(
    events: psycopg.Connection, seconds: float, verdict: str
) -> None:
    store(events, "enum_event", [query(seconds)])
    store(events, "sip_event", [leg(0, 7)])
    assert verdicts(events) == {7: verdict}
    assert verdicts(events, window=Window(30, 30)) == {7: "followed"}


def test_one_who_dials_twice_has_a_decision_for_each_call(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1, Action.TERMINATE), query(6.1)])
    store(events, "sip_event", [leg(0, 7, answered=False, rang=False), leg(6, 8)])
    assert {call.correlation: call.decisions[0].call.action for call in report(events).calls} == {
        7: "terminate",
        8: "allow",
    }


def test_a_query_repeated_to_a_second_server_is_about_the_same_call(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1, Action.TERMINATE), query(2.1, Action.TERMINATE)])
    store(events, "sip_event", [leg(0, 7)])
    (call,) = report(events).calls
    assert (call.verdict, len(call.decisions)) == ("ignored", 2)


def test_an_sbc_that_was_told_both_may_follow_either(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1), query(2.1, Action.TERMINATE)])
    store(events, "sip_event", [leg(0, 7)])
    (call,) = report(events).calls
    assert call.verdict == "followed"
    assert call.decision is not None
    assert call.decision.call.action == "allow"


def test_a_caller_without_number_is_found_by_the_destination(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1, source=0), query(0.2, source=BOB)])
    store(events, "sip_event", [leg(0, 7), leg(0.1, 8, source=BOB)])
    matched = {call.correlation: [one.matched_by for one in call.decisions] for call in report(events).calls}
    assert matched == {7: [], 8: ["destination", "numbers"]} or matched == {7: ["destination"], 8: ["numbers"]}


def test_a_destination_that_is_no_number_is_compared_as_text(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1, destination=0, destination_raw="bob"), query(0.1, destination=0)])
    store(events, "sip_event", [leg(0, 7, destination=0, destination_raw="bob"), leg(0, 8, destination=0,
                                                                                  destination_raw="eve")])  # fmt: skip
    assert verdicts(events) == {7: "followed", 8: "unasked"}


def test_a_call_id_in_the_query_counts_before_everything_else(events: psycopg.Connection) -> None:
    raw = "sip:+12105550123@sbc;Call-ID=8%40sbc;user=phone"
    store(events, "enum_event", [query(0.1, Action.TERMINATE, source_raw=raw)])
    store(events, "sip_event", [leg(0, 7), leg(1, 8, source=BOB, destination=BOB)])
    assert verdicts(events) == {7: "unasked", 8: "ignored"}


def test_a_leg_much_later_is_a_call_of_its_own(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1)])
    store(events, "sip_event", [leg(0, 7), leg(5, 7, call_id="beyond@sbc"), leg(90, 7, call_id="transfer@sbc")])
    found = report(events).calls
    assert [(call.verdict, len(call.legs)) for call in found] == [("unasked", 1), ("followed", 2)]


def test_what_is_said_of_a_call_does_not_depend_on_the_period(events: psycopg.Connection) -> None:
    # The decision is the first call's, though that began before the period.
    store(events, "enum_event", [query(0.1)])
    store(events, "sip_event", [leg(0, 7), leg(5, 8), leg(20, 7, call_id="beyond@sbc")])
    assert verdicts(events, start=at(1)) == {8: "unasked"}
    assert verdicts(events, end=at(1)) == {7: "followed"}


def test_calls_are_asked_for_by_verdict_probe_number_and_decision(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1), query(30.1, Action.TERMINATE, source=BOB)])
    store(events, "sip_event", [leg(0, 7), leg(30, 8, source=BOB, device_id=3), leg(60, 9, source=VOICEMAIL)])
    assert verdicts(events, verdict=Verdict.IGNORED) == {8: "ignored"}
    assert verdicts(events, verdict=Verdict.UNASKED) == {9: "unasked"}
    assert verdicts(events, device="probe-2") == {8: "ignored"}
    assert verdicts(events, number="+12105550144") == {8: "ignored"}
    assert verdicts(events, correlation=7) == {7: "followed"}
    assert verdicts(events, decision=(1, 2)) == {8: "ignored"}
    assert report(events, limit=0).calls == ()
    with pytest.raises(NotFoundError, match="device: there is none named 'probe-9'"):
        report(events, device="probe-9")


def test_pages_join_without_a_gap(events: psycopg.Connection) -> None:
    store(events, "sip_event", [leg(number // 2, number) for number in range(9)])
    found: list[int] = []
    place: Place | None = None
    while page := report(events, limit=2, before=place):
        found += [call.correlation for call in page.calls]
        if page.next is None:
            break
        place = Place.parse(page.next)
    assert found == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_the_series_adds_up_to_the_counts(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1)])
    store(events, "sip_event", [leg(0, 7), leg(3000, 8)])
    shown = report(events).as_json()
    assert {word: sum(row) for word, row in shown["series"].items()} == shown["counts"]
    assert shown["total"] == 2
    assert len(shown["buckets"]) == len(shown["series"]["unasked"])


def test_a_server_that_is_behind_is_named(events: psycopg.Connection) -> None:
    events.execute("UPDATE device SET last_seen_at = %s WHERE name = 'enum-1'", [NOON - HOUR])
    events.execute("INSERT INTO device_stream (device_id, journal_id, stream, lost) VALUES (1, 1, 0, 12)")
    cautions = report(events).cautions
    assert any("enum-1 was last heard from at 2026-11-20 11:00:00 UTC" in words for words in cautions)
    assert any("enum-1 lost 12 events" in words for words in cautions)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": NOON, "end": NOON}, "start: .* must be before end"),
        ({"start": NOON - timedelta(days=40)}, "longer than 31 days"),
        ({"limit": 1001}, "limit"),
        ({"window": Window(61, 1)}, "before_s: 61"),
        ({"window": Window(0, 0)}, "a second long"),
        ({"number": "anonymous"}, "number: 'anonymous' is not E.164"),
        ({"start": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_a_bad_question_is_refused_by_field(events: psycopg.Connection, fields: Fields, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        report(events, **fields)


def test_a_question_that_takes_too_long_says_so(events: psycopg.Connection) -> None:
    store(events, "enum_event", [query(0.1) for _ in range(400)])
    store(events, "sip_event", [leg(0, number) for number in range(400)])
    asked = EnforcementQuery(NOON - HOUR, NOON + HOUR)
    with pytest.raises(UnavailableError, match="timed out"):
        prove(events, asked, timeout_s=0.001)


def test_unknown_words_and_places_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="verdict: 'bad' is not one of"):
        parse_verdict("bad")
    for text in ("", "!", "MTI"):
        with pytest.raises(InvalidInputError, match="before"):
            Place.parse(text)


# --- A plain reference: loops over all pairs, in the words of `matching` -------------------------------------------


@dataclass
class Reference:
    queries: list[Fields]
    legs: list[Fields]
    window: Window

    def answer(self, start: datetime, end: datetime) -> dict[tuple[datetime, int], tuple[str, tuple[int, ...]]]:
        """(first leg's time, correlation) → verdict, and the sequences of the decisions."""
        calls = self.calls()
        owned: dict[tuple[datetime, int], list[Fields]] = {key: [] for key in calls}
        for asked in self.queries:
            ranked = sorted(rank for key, legs in calls.items() if (rank := self.rank(asked, key, legs)) is not None)
            if ranked:
                owned[ranked[0][2], ranked[0][3]].append(asked)
        return {
            key: (self.verdict(calls[key], owned[key]), tuple(sorted(one["sequence"] for one in owned[key])))
            for key in calls
            if start <= key[0] < end
        }

    def calls(self) -> dict[tuple[datetime, int], list[Fields]]:
        calls: dict[tuple[datetime, int], list[Fields]] = {}
        latest: dict[int, tuple[datetime, datetime]] = {}
        for one in sorted(self.legs, key=lambda leg: (leg["time"], leg["sequence"])):
            began, last = latest.get(one["correlation"], (one["time"], one["time"]))
            if one["time"] - last >= LEG_SPREAD:
                began = one["time"]
            latest[one["correlation"]] = (began, one["time"])
            calls.setdefault((began, one["correlation"]), []).append(one)
        return calls

    def rank(
        self, asked: Fields, key: tuple[datetime, int], legs: list[Fields]
    ) -> tuple[int, timedelta, datetime, int] | None:
        apart = asked["time"] - key[0]
        if not -self.window.before <= apart <= self.window.after:
            return None
        nearness = [
            0 if carried and carried == leg["call_id"] else 1 if asked["source"] == leg["source"] != 0 else 2
            for leg in legs
            if ((carried := asked.get("carried")) and carried == leg["call_id"])
            or (
                asked["destination"] == leg["destination"]
                and (asked["source"] == leg["source"] or 0 in (asked["source"], leg["source"]))
            )
        ]
        return (min(nearness), abs(apart), *key) if nearness else None

    def verdict(self, legs: list[Fields], decisions: list[Fields]) -> str:
        if not decisions:
            return "unasked"
        each = {self.of_decision(legs, decision) for decision in decisions}
        return "followed" if "followed" in each else "ignored" if each == {"ignored"} else "unproven"

    def of_decision(self, legs: list[Fields], decision: Fields) -> str:
        answered = any(leg["answer_ms"] is not None for leg in legs)
        rang = any(leg["pdd_ms"] is not None for leg in legs)
        has_second = len({leg["call_id"] for leg in legs}) > 1
        if decision["action"] == Action.TERMINATE:
            if answered or (rang and has_second):
                return "ignored"
            return "unproven" if rang else "followed"
        if decision["action"] == Action.REDIRECT:
            arrived = any(leg["destination"] == decision["target"] or leg["result"] == 7 for leg in legs)
            if arrived or not (rang or answered):
                return "followed"
            return "ignored" if has_second else "unproven"
        return "followed"


_NUMBERS = st.sampled_from([0, ALICE, BOB])
_SECONDS = st.integers(-800, 800).map(lambda tenths: tenths / 10)
_QUERIES = st.lists(
    st.builds(
        lambda seconds, source, destination, action, carried: query(
            seconds, action, source=source, destination=destination,
            target=VOICEMAIL if action is Action.REDIRECT else 0,
            source_raw=f"sip:x@y;call-id={carried.replace('@', '%40')}" if carried else None,
        ) | {"carried": carried},
        _SECONDS, _NUMBERS, st.sampled_from([CAROL, BOB]), st.sampled_from(list(Action)),
        st.sampled_from([None, None, None, "0@sbc", "1@sbc"]),
    ),
    max_size=12,
)  # fmt: skip
_LEGS = st.lists(
    st.builds(
        lambda seconds, correlation, source, destination, answered, rang, result, call_id: leg(
            seconds, correlation, answered=answered, rang=rang, source=source, destination=destination,
            call_id=f"{call_id}@sbc", result=result,
        ),
        _SECONDS, st.integers(-2, 2), _NUMBERS, st.sampled_from([CAROL, BOB, VOICEMAIL]), st.booleans(), st.booleans(),
        st.sampled_from([1, 6, 7]), st.integers(0, 3),
    ),
    max_size=12,
)  # fmt: skip


@contextmanager
def undone(connection: psycopg.Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        yield


def test_the_statement_says_what_the_plain_reference_says(events: psycopg.Connection) -> None:
    @hypothesis_settings(max_examples=60)
    @given(_QUERIES, _LEGS, st.sampled_from([Window(), Window(0, 1), Window(20, 40)]), _SECONDS, st.integers(1, 900))
    def agrees(queries: list[Fields], legs: list[Fields], window: Window, begin: float, tenths: int) -> None:
        queries = [one | {"sequence": place} for place, one in enumerate(queries, 1)]
        legs = [one | {"sequence": place} for place, one in enumerate(legs, 1)]
        start, end = at(begin), at(begin + tenths / 10)
        with undone(events):
            store(events, "enum_event", [{k: v for k, v in one.items() if k != "carried"} for one in queries])
            store(events, "sip_event", legs)
            found = report(events, start=start, end=end, window=window, limit=1000)
        said = {
            (call.time, call.correlation): (call.verdict, tuple(sorted(one.call.sequence for one in call.decisions)))
            for call in found.calls
        }
        assert said == Reference(queries, legs, window).answer(start, end)

    agrees()
