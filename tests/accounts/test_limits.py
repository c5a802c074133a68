"""Who is limited to sites, and who sees numbers masked: nothing else leaks, by whatever way is asked. And erasing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pyarrow.parquet as pq
import pytest
from tests.ingest.samples import upload
from tests.mediation_server import RunningMediation, wait_until

from ringfence.accounts import people
from ringfence.accounts.credentials import authenticate, create_token
from ringfence.accounts.roles import sight_of
from ringfence.analytics.calls import Call, CallFilter, find_calls
from ringfence.api.masking import masked
from ringfence.console import pages  # noqa: F401  # registers the pages
from ringfence.console.call_drawer import explain_recorded
from ringfence.console.gate import PAGES, why_closed
from ringfence.console.session import Session
from ringfence.database import sight
from ringfence.database.connection import Database
from ringfence.database.sight import Sight, ensure_views, seeing
from ringfence.errors import ForbiddenError, UnavailableError
from ringfence.mediation.ingest.closing import close_hours
from ringfence.mediation.sites import add_site, site_ids
from ringfence.numbering.dial_plan import site_from
from ringfence.vocabulary import Role

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
HERE, THERE = 12105550101, 12105550202  # sources at the two sites
CALLED = 19005550100
PERIOD = {"start": (HOUR - timedelta(hours=2)).isoformat(), "end": (HOUR + timedelta(hours=1)).isoformat()}


def call(minute: int, source: int) -> dict[str, Any]:
    return {
        "time": HOUR + timedelta(minutes=minute), "source": source, "destination": CALLED,
        "source_raw": f"+{source}", "destination_raw": f"+{CALLED}",
    }  # fmt: skip


@pytest.fixture
def network(mediation: RunningMediation) -> RunningMediation:
    """Two sites with a device each: three calls at `main`, two at `far`."""
    with mediation.database.connection() as connection:
        add_site(connection, site_from({"name": "far", "country": "US"}), "test")
    for journal, (name, source, count) in enumerate((("enum-main", HERE, 3), ("enum-far", THERE, 2)), 1):
        with mediation.device(name) as edge:
            answer = edge.post(
                "edge/events", params={"dataset": "enum", "journal_id": journal, "stream": 0},
                content=upload([call(minute, source) for minute in range(count)]),
                headers={"Content-Type": "application/vnd.apache.arrow.stream"},
            )  # fmt: skip
            assert answer.json() == {"received": count}
    with mediation.database.connection() as connection:
        connection.execute(
            "UPDATE device SET site_id = (SELECT site_id FROM site WHERE name = 'far') WHERE name = 'enum-far'"
        )
    close_hours(mediation.database, HOUR + timedelta(hours=3), 100)  # so that kept tops could leak too
    return mediation


def limited(network: RunningMediation, role: Role = Role.VIEWER, *sites: str) -> httpx.Client:
    """A client whose token is limited to sites; by default `far`."""
    client = network.client(None)
    with network.database.connection() as connection:
        ids = site_ids(connection, sites or ("far",))
        secret = create_token(connection, f"limited-{role.word}-{len(sites)}", role, "test", sites=ids)
    client.headers["Authorization"] = f"Bearer {secret}"
    return client


@contextmanager
def numbers_from(network: RunningMediation, role: str) -> Iterator[None]:
    """With another setting of who sees whole numbers."""
    settings = network.process.settings
    accounts = settings.accounts.model_copy(update={"numbers_from": role})
    network.process.settings = settings.model_copy(update={"accounts": accounts})
    try:
        yield
    finally:
        network.process.settings = settings


def test_a_limited_account_sees_its_sites_and_nothing_of_others(network: RunningMediation) -> None:
    client, whole = limited(network), network.client(Role.VIEWER)
    everything = []
    for path, more in (
        ("events", PERIOD),
        ("events/export", PERIOD),
        ("events/export", PERIOD | {"format": "csv"}),
        ("analytics", PERIOD | {"view": "top_source", "grouping": "hour"}),
        ("analytics", PERIOD | {"view": "top_source", "grouping": "period"}),
        ("analytics/export", PERIOD | {"view": "top_pair"}),
        ("enforcement", PERIOD),
        ("devices", {}),
        ("sites", {}),
        ("status", {}),
        ("hits/rules", {}),
    ):
        answer = client.get(path, params=more)
        assert answer.status_code == 200, (path, answer.text)
        everything.append(answer.text)
        assert not {str(HERE), "enum-main", '"main"'} & {
            word for word in (str(HERE), "enum-main", '"main"') if word in answer.text
        }, (path, answer.text)
    assert str(THERE) in everything[0]
    assert str(HERE) in whole.get("events", params=PERIOD).text
    for view, column in (("calls", 1), ("peak_cps", 1)):
        asked = PERIOD | {"view": view, "grouping": "hour"}
        shown = {name: sum(row[column] for row in one.get("analytics", params=asked).json()["rows"])
                 for name, one in (("limited", client), ("whole", whole))}  # fmt: skip
        assert shown["limited"] <= shown["whole"]
    asked = PERIOD | {"view": "calls", "grouping": "hour"}
    counted = [sum(row[1] for row in one.get("analytics", params=asked).json()["rows"]) for one in (client, whole)]
    assert counted == [2, 5]


def test_one_call_a_device_or_a_site_elsewhere_is_not_there(network: RunningMediation) -> None:
    client = limited(network)
    for one in network.client(Role.VIEWER).get("events", params=PERIOD).json()["calls"]:
        expected = 200 if one["device"] == "enum-far" else 404
        assert client.get(f"events/{one['id']}").status_code == expected
    assert client.get("devices/enum-main").status_code == 404
    assert client.get("sites/main").status_code == 404
    for filters in ({"device": "enum-main"}, {"site": "main"}):
        assert client.get("analytics", params=PERIOD | {"view": "calls"} | filters).status_code == 404
        assert client.get("events", params=PERIOD | filters).json()["calls"] == []
    assert client.get("events", params=PERIOD | {"number": f"+{HERE}"}).json()["calls"] == []
    assert len(client.get("events", params=PERIOD | {"number": f"+{THERE}"}).json()["calls"]) == 2


def test_what_concerns_all_sites_is_refused_also_to_a_limited_administrator(network: RunningMediation) -> None:
    client = limited(network, Role.ADMINISTRATOR)
    for method, path in (
        ("GET", "audit"), ("GET", "users"), ("GET", "tokens"), ("GET", "policy"), ("GET", "jobs"), ("GET", "backups"),
        ("POST", "number_records/export"), ("POST", "captures"), ("POST", "devices"),
    ):  # fmt: skip
        answer = client.request(method, path, json={} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden.sites"), path
    assert client.patch("devices/enum-far", json={"note": "in the cellar"}).json()["note"] == "in the cellar"
    assert client.patch("devices/enum-main", json={"note": "x"}).status_code == 404
    assert client.patch("devices/enum-far", json={"site": "main"}).status_code == 404
    assert client.patch("sites/main", json={"note": "x"}).status_code == 404
    assert client.patch("sites/far", json={"note": "far away"}).json()["note"] == "far away"
    assert network.client().get("sites/main").json()["note"] == ""


def test_numbers_are_masked_below_the_role_of_the_setting(network: RunningMediation) -> None:
    viewer, analyst = network.client(Role.VIEWER), network.client(Role.ANALYST)
    with numbers_from(network, "analyst"):
        for path, more in (
            ("events", {}),
            ("events/export", {}),
            ("events/export", {"format": "csv"}),
            ("analytics", {"view": "top_pair", "grouping": "hour"}),
            ("analytics/export", {"view": "top_source"}),
            ("enforcement", {}),
        ):
            assert str(HERE) in analyst.get(path, params=PERIOD | more).text or path == "enforcement"
            text = viewer.get(path, params=PERIOD | more).text
            for number in (HERE, THERE, CALLED):
                assert str(number)[:-3] not in text, (path, text)
        shown = viewer.get("events", params=PERIOD).json()["calls"]
        assert {one["source"] for one in shown} == {"+1210555••••"}
        table = pq.read_table(io.BytesIO(viewer.get("events/export", params=PERIOD | {"format": "parquet"}).content))
        assert set(table.column("destination").to_pylist()) == {"+1900555••••"}
        refused = viewer.get("events", params=PERIOD | {"number": f"+{HERE}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden.masked")
        assert viewer.get("events", params=PERIOD | {"number": "+1210555010?"}).status_code == 403
        assert len(viewer.get("events", params=PERIOD | {"source": "+1210555••••"}).json()["calls"]) == 5
        assert viewer.get("enforcement", params=PERIOD | {"number": f"+{HERE}"}).status_code == 403
        assert viewer.get("enforcement", params=PERIOD).json()["queries"] == 5
    assert {one["source"] for one in viewer.get("events", params=PERIOD).json()["calls"]} == {f"+{HERE}", f"+{THERE}"}


def test_the_console_asks_with_the_same_sight(network: RunningMediation) -> None:
    """Every question of a page goes through `Session`; here without the browser around it."""
    database, settings = network.database, network.settings
    settings = settings.model_copy(
        update={"accounts": settings.accounts.model_copy(update={"numbers_from": "analyst"})}
    )
    with database.connection() as connection:
        secret = create_token(connection, "page", Role.EDITOR, "test", sites=site_ids(connection, ["far"]))
        low = create_token(connection, "low", Role.VIEWER, "test")
        sessions = [
            Session(database, one, authenticate(connection, one), network.process.jobs, settings)
            for one in (secret, low)
        ]
    wanted = CallFilter(start=HOUR, end=HOUR + timedelta(hours=1))
    limited_calls, masked_calls = (one._answer(Role.VIEWER, find_calls, wanted) for one in sessions)
    assert {(one.device, one.source) for one in limited_calls} == {("enum-far", f"+{THERE}")}
    assert {one.source for one in masked_calls} == {"+1210555••••"}
    assert not sessions[0].may(Role.EDITOR)
    with pytest.raises(ForbiddenError, match="all sites"):
        sessions[0]._answer(Role.EDITOR, find_calls, wanted)
    assert isinstance(masked_calls[0], Call)
    with pytest.raises(ForbiddenError, match="whole numbers"):
        sessions[1]._answer(Role.VIEWER, explain_recorded, masked_calls[0])
    assert why_closed(PAGES["/policy"], sessions[0]) is not None
    for place in ("/policy/lists", "/alerts", "/alert", "/detections"):
        assert why_closed(PAGES[place], sessions[1]) is not None
    assert why_closed(PAGES["/calls"], sessions[0]) is why_closed(PAGES["/calls"], sessions[1]) is None


def test_a_job_sees_what_its_owner_sees(network: RunningMediation) -> None:
    def count(progress: object) -> dict[str, Any]:
        with network.database.connection() as connection:
            return {"calls": connection.execute("SELECT count(*) FROM enum_event").fetchone()}

    with seeing(Sight(frozenset({2}))):
        limited_job = network.process.jobs.start("count", "test", count)
    whole_job = network.process.jobs.start("count", "test", count)
    assert limited_job.ended.wait(30)
    assert whole_job.ended.wait(30)
    assert (limited_job.result, whole_job.result) == ({"calls": (2,)}, {"calls": (5,)})


def test_whatever_leaves_as_text_is_gone_over_once_more() -> None:
    for text, expected in (
        (b'"+12105550123"', '"+1210555••••"'.encode()),
        (b"sip:12105550123@example", "sip:1210555••••@example".encode()),
        (b"number=%2B12105550123&", "number=%2B1210555••••&".encode()),
        (b'"sequence": 12105550123, "+1900*", "2026-11-22T12:00:00+00:00"',) * 2,
        ("+1210555••••".encode(),) * 2,
    ):
        assert masked(text) == expected


def test_without_its_views_a_limited_connection_is_refused_and_nobody_keeps_anothers_sight(database: Database) -> None:
    def seen() -> tuple[Any, ...] | None:
        with database.connection() as connection:
            return connection.execute("SELECT count(*), current_setting('search_path') FROM device").fetchone()

    nothing = Sight(frozenset())
    with seeing(nothing):
        assert seen() == (0, "ringfence_by_site, ringfence")
        with pytest.raises(psycopg.Error), database.connection() as connection:
            connection.execute("SELECT 1 / 0")
    assert seen() == (0, "ringfence")
    with database.connection() as connection:
        sight.drop_views(connection)
    with seeing(nothing), pytest.raises(UnavailableError, match="no views"):
        seen()
    ensure_views(database)
    with database.connection() as connection:
        connection.execute("ALTER TABLE device ADD COLUMN colour text")
    ensure_views(database)  # a table has other columns by now
    with seeing(nothing), database.connection() as connection:
        connection.execute("SELECT colour FROM device")


def test_a_token_is_never_more_than_its_owner_whatever_becomes_of_the_owner(network: RunningMediation) -> None:
    with network.database.connection() as connection:
        password = people.create_person(connection, "ana", Role.ANALYST, "test")
        session = people.sign_in(connection, "ana", password, None, datetime.now(UTC))
        people.change_password(connection, session.identity, password, "a better battery horse")
    browser = network.client(None)
    browser.cookies["ringfence_session"] = session.secret
    too_high = browser.post("session/tokens", json={"name": "up", "role": "administrator"})
    assert (too_high.status_code, too_high.json()["code"]) == (403, "forbidden")
    token = browser.post("session/tokens", json={"name": "mine", "role": "analyst", "days": 1}).json()["token"]
    program = network.client(None)
    program.headers["Authorization"] = f"Bearer {token}"
    assert program.get("session").json()["role"] == "analyst"
    assert program.post("session/tokens", json={"name": "more", "role": "viewer"}).status_code == 403
    administrator = network.client()
    assert administrator.post("users/ana/role", json={"role": "viewer"}).status_code == 204
    assert administrator.post("users/ana/sites", json={"sites": ["far"]}).status_code == 204
    assert program.get("session").json() == {
        "name": "ana", "role": "viewer", "must_change_password": False, "must_set_second_factor": False,
        "sites": ["far"],
    }  # fmt: skip
    assert browser.post("session/tokens", json={"name": "out", "role": "viewer", "sites": ["main"]}).status_code == 404
    assert [one["name"] for one in browser.get("session/tokens").json()["tokens"]] == ["mine"]
    listed = browser.get("session/sessions").json()["sessions"]
    assert [one["user"] for one in listed] == ["ana"]
    assert administrator.delete(f"session/sessions/{listed[0]['session_id']}").status_code == 204
    assert browser.get("session").status_code == 401
    assert administrator.delete("tokens/mine").status_code == 204
    assert program.get("session").status_code == 401


def test_erasing_a_number_changes_no_figure_and_leaves_no_trace_of_it(network: RunningMediation) -> None:
    client = network.client()
    asked = [
        PERIOD | {"view": "calls", "grouping": "hour"},
        PERIOD | {"view": "top_source", "grouping": "hour"},
        PERIOD | {"view": "top_pair", "grouping": "period"},
    ]

    def figures() -> list[Any]:
        return [client.get("analytics", params=one).json()["rows"] for one in asked]

    before = figures()
    kept = client.post("number_records/export", json={"number": f"+{HERE}"}).json()
    assert len(kept["calls"]) == 3
    assert client.post("number_records/erase", json={"number": f"+{HERE}"}).status_code == 400  # not confirmed
    assert client.post("number_records/erase", json={"number": "+1900*", "confirm": True}).status_code == 400
    job = client.post("number_records/erase", json={"number": f"+{HERE}", "confirm": True}).json()
    done = wait_until(lambda: (one := client.get(f"jobs/{job['id']}").json())["state"] == "done" and one, 60)["result"]
    assert (done["enum"], done["sip"]) == (3, 0)
    assert done["tops"] > 0
    assert any("Backups" in words for words in done["left"])
    after = figures()
    assert str(before).replace(f"+{HERE}", done["mark"]) == str(after)
    assert client.post("number_records/export", json={"number": f"+{HERE}"}).json()["calls"] == []
    for path in ("events", "audit"):
        assert str(HERE) not in client.get(path, params=PERIOD if path == "events" else None).text
    erased = client.get("audit", params={"action": "number.erase"}).json()["entries"][0]
    assert erased["subject"] == done["mark"]


def test_the_sight_is_of_the_role_and_the_sites(network: RunningMediation) -> None:
    with network.database.connection() as connection:
        secret = create_token(connection, "t", Role.VIEWER, "test", sites=[2])
        identity = authenticate(connection, secret)
    settings = network.settings.accounts
    assert sight_of(identity, settings) == Sight(frozenset({2}))
    assert sight_of(identity, settings.model_copy(update={"numbers_from": "analyst"})) == Sight(frozenset({2}), True)
