"""Every view equals a plain count over the calls: random calls, ranges, zones, filters and late batches.

Calls come through ingest as from edges, in batches out of order of time; `plain` counts them in Python.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection
from tests.analytics import plain
from tests.ingest.samples import COLUMNS as ENUM_COLUMNS
from tests.ingest.samples import upload
from tests.ingest.sip_samples import COLUMNS as SIP_COLUMNS
from tests.ingest.sip_samples import sip_upload

from ringfence.analytics.views import VIEWS, AnalyticsQuery, EventFilter, run_query
from ringfence.database import migrate
from ringfence.database.connection import Database
from ringfence.database.partitions import drop_before
from ringfence.mediation.ingest.closing import close_hours
from ringfence.mediation.ingest.store import Ingest
from ringfence.numbering.classification import call_type, facts_of
from ringfence.numbering.dial_plan import Site
from ringfence.numbering.normalise import normaliser_of
from ringfence.vocabulary import Action, CallResult, CallSide, CallType, Dataset, Direction, NumberClass

# Chicago sets its clocks back at 07:00 UTC: the hour from one to two is lived twice.
FALL_BACK = datetime(2026, 11, 1, 7, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 2, 12, 0, 30, tzinfo=UTC)
MIGRATIONS = Path(migrate.__file__).parent / "migrations"
ZONES = ("UTC", "America/Chicago", "Asia/Kathmandu")
NUMBERS = ("+12105550100", "+12105550101", "+19005550100", "+442079460101", "+447400123456", "+18005550199", "911", "x")
RULES = {1: "first", 2: "second", 3: "third"}
DEVICES = {
    "enum-1": ("enum", "hq"),
    "enum-2": ("enum", "branch"),
    "probe-1": ("probe", "hq"),
    "probe-2": ("probe", "branch"),
}
SITES = {
    "hq": Site("hq", "US", ("+12105550000-+12105559999",)),
    "branch": Site("branch", "GB", ("+442079460000-+442079469999",)),
}


@dataclass
class World:
    """A database, and everything that was put into it, as Python values."""

    database: Database
    ingest: Ingest
    ids: dict[str, int]
    events: dict[Dataset, list[dict[str, Any]]] = field(default_factory=lambda: {Dataset.ENUM: [], Dataset.SIP: []})
    sent: Counter[str] = field(default_factory=Counter)

    def add(self, randomness: random.Random, device: str, count: int, at: datetime, spread: timedelta) -> None:
        """One more batch of `count` random calls around `at`."""
        kind, site = DEVICES[device]
        make = _enum_event if kind == "enum" else _sip_event
        events = [make(randomness, at + spread * (randomness.random() - 0.5)) for _ in range(count)]
        first = self.sent[device] + 1
        body = upload(events, first) if kind == "enum" else sip_upload(events, first)
        self.ingest.accept(self.ids[device], "enum" if kind == "enum" else "sip", 7, 0, body, NOW)
        self.sent[device] += count
        dataset = Dataset.ENUM if kind == "enum" else Dataset.SIP
        columns = ENUM_COLUMNS if kind == "enum" else SIP_COLUMNS
        for event in events:
            whole = {name: default for name, (_, default) in columns.items()} | event
            self.events[dataset].append(_known(whole, dataset, device, SITES[site]))

    def ask(self, dataset: Dataset, view: str, grouping: str, **fields: Any) -> list[tuple[Any, ...]]:
        """The rows of a view."""
        values = {"device": None, "limit": 5} | fields
        with self.database.connection() as connection:
            return run_query(connection, AnalyticsQuery(dataset, view, grouping, **values), now=NOW).rows

    def matching(self, dataset: Dataset, wanted: EventFilter, device: str | None) -> list[dict[str, Any]]:
        """The calls that a filter means."""
        return [event for event in self.events[dataset] if _matches(event, wanted, device)]


def _enum_event(randomness: random.Random, time: datetime) -> dict[str, Any]:
    source, destination = randomness.choice(NUMBERS), randomness.choice(NUMBERS)
    rule = randomness.choice([0, 0, 1, 2])
    return {
        "time": time.replace(microsecond=0) if randomness.random() < 0.2 else time,
        **_side("source", source),
        **_side("destination", destination),
        "direction": randomness.choice([0, 1, 2, 3]),
        "action": randomness.choice([0, 1, 1, 2, 3]),
        "rcode": randomness.choice([0, 0, 3]),
        "rule_id": rule,
        "monitored": randomness.sample([1, 2, 3], randomness.choice([0, 0, 1, 2])),
        "latency_ns": randomness.choice([999, 1000, 1001, 5000, 7500, 42_000, 2_000_000_000]),
    }


def _side(side: str, text: str) -> dict[str, Any]:
    digits = text.removeprefix("+")
    number = int(digits) if text.startswith("+") else 0
    kind = NumberClass.NUMBER if number else NumberClass.EMERGENCY if text == "911" else NumberClass.INVALID
    return {side: number, f"{side}_raw": text, f"{side}_class": int(kind)}


def _sip_event(randomness: random.Random, time: datetime) -> dict[str, Any]:
    result, status = randomness.choice(
        [(1, 200), (2, 486), (3, 480), (3, 408), (4, 487), (6, 603), (7, 302), (8, 407), (9, 503)]
    )
    has_media = result == 1 and randomness.random() < 0.8
    seconds = randomness.choice([0, 1, 30, 61, 600, 5000])
    media: dict[str, int] = {}
    for side in ("forward", "backward"):
        packets = randomness.choice([0, 50, 3000]) if has_media else 0
        media |= {
            f"{side}_packets": packets,
            f"{side}_lost": randomness.choice([0, 7]),
            f"{side}_mos_100": randomness.choice([250, 359, 360, 441]) if packets else 0,
        }
    return {
        "time": time,
        "source_raw": randomness.choice(NUMBERS),
        "destination_raw": randomness.choice(NUMBERS),
        "side": randomness.choice([0, 1, 2]),
        "result": result,
        "status": status,
        "released_by": randomness.choice([0, 1, 2]),
        "attestation": randomness.choice([0, 1, 3]),
        "codec": randomness.choice(["", "PCMU", "OPUS"]),
        "pdd_ms": randomness.choice([-1, 0, 180, 2500]),
        "duration_ms": seconds * 1000 if result == 1 and randomness.random() < 0.9 else -1,
        "total_ms": seconds * 1000 + randomness.choice([0, 900]),
        **media,
    }  # fmt: skip


def _known(event: dict[str, Any], dataset: Dataset, device: str, site: Site) -> dict[str, Any]:
    """The event with what ingest finds out, found out one by one."""
    if dataset is Dataset.SIP:
        numbers = normaliser_of(site).call(event["source_raw"], event["destination_raw"], event["side"])
        names = ("source", "source_class", "destination", "destination_class", "direction")
        event |= dict(zip(names, numbers, strict=True))
    facts = facts_of(event["destination"])
    far = facts_of(event["source"]) if event["direction"] == Direction.INBOUND else facts
    kind = call_type(event["destination"], NumberClass(event["destination_class"]), facts, site.country)
    return event | {"device": device, "site": site.name, "call_type": int(kind), "country": far.country or "unknown"}


def _matches(event: dict[str, Any], wanted: EventFilter, device: str | None) -> bool:
    if device is not None and event["device"] != device:
        return False
    for name in wanted.given:
        value = getattr(wanted, name)
        if name == "number":
            if not (_is_side(event, "source", value) or _is_side(event, "destination", value)):
                return False
        elif name in ("source", "destination"):
            if not _is_side(event, name, value):
                return False
        elif name == "rule":
            if RULES.get(event["rule_id"]) != value:
                return False
        elif event["status" if "status" in event else "rcode"] != value if name == "code" else event[name] != value:
            return False
    return True


def _is_side(event: dict[str, Any], side: str, text: str) -> bool:
    number = f"+{event[side]}" if event[side] else event[f"{side}_raw"]
    if text.endswith("*"):
        return bool(event[side]) and number.startswith(text[:-1])
    if "?" in text:
        return (
            bool(event[side])
            and len(number) == len(text)
            and all(a in ("?", b) for a, b in zip(text, number, strict=True))
        )
    if "-" in text:
        low, high = text.split("-")
        return bool(event[side]) and len(number) == len(low) and low <= number <= high
    return bool(number == text)


@pytest.fixture
def world(database: Database) -> World:
    """Two sites with an ENUM server and a probe each, rules, and no calls."""
    ids = {}
    with database.connection() as connection:
        for site in SITES.values():
            connection.execute(
                "INSERT INTO site (name, country, own_ranges) VALUES (%s, %s, %s)",
                (site.name, site.country, list(site.own_ranges)),
            )
        for device, (kind, at_site) in DEVICES.items():
            row = connection.execute(
                "INSERT INTO device (name, kind, site_id, credential_hash) SELECT %(name)s::text, %(kind)s, site_id,"
                " sha256(convert_to(%(name)s::text, 'UTF8')) FROM site WHERE name = %(site)s RETURNING device_id",
                {"name": device, "kind": kind, "site": at_site},
            ).fetchone()
            assert row is not None
            ids[device] = row[0]
        for rule in RULES.values():
            connection.execute("INSERT INTO policy_rule (name) VALUES (%s)", [rule])
    return World(database, Ingest(database), ids)


@pytest.fixture
def busy(world: World) -> World:
    """Two days of calls around the night when clocks are set back, in batches, some of them late."""
    randomness = random.Random(6)
    for _ in range(14):
        device = randomness.choice(list(DEVICES))
        at = FALL_BACK + timedelta(minutes=randomness.uniform(-1500, 1500))
        world.add(randomness, device, randomness.randrange(1, 50), at, timedelta(hours=randomness.choice([0.01, 1, 6])))
    return world


GROUPINGS = ("minute", "15_minutes", "hour", "day", "week", "hour_of_week", "period")
SHARED = (
    EventFilter(),
    EventFilter(),
    EventFilter(site="branch"),
    EventFilter(direction=Direction.INBOUND),
    EventFilter(call_type=CallType.INTERNATIONAL, direction=Direction.OUTBOUND),
    EventFilter(country="GB"),
    EventFilter(number="+12105550100"),
    EventFilter(source="+1210555010?"),
    EventFilter(destination="+44*"),
    EventFilter(source="+12105550000-+12105550100"),
    EventFilter(destination="x"),
)
OF_ENUM = (*SHARED, EventFilter(action=Action.TERMINATE), EventFilter(rule="second"), EventFilter(code=3))
OF_SIP = (
    *SHARED, EventFilter(result=CallResult.ANSWERED), EventFilter(code=486, site="hq"), EventFilter(codec="PCMU"),
    EventFilter(released_by=CallSide.SOURCE),
)  # fmt: skip
FIGURES: dict[str, Callable[[list[plain.Event]], tuple[Any, ...]]] = {
    "asr": plain.asr,
    "ner": plain.ner,
    "acd": plain.acd,
    "pdd": plain.pdd,
    "quality": plain.quality,
}  # fmt: skip
WORDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "countries": lambda e: e["country"],
    "call_types": lambda e: CallType(e["call_type"]).word,
    "directions": lambda e: Direction(e["direction"]).word,
    "actions": lambda e: Action(e["action"]).word,
    "results": lambda e: CallResult(e["result"]).word,
    "response_codes": lambda e: e.get("status", e.get("rcode")),
    "release_side": lambda e: CallSide(e["released_by"]).word,
    "codecs": lambda e: e["codec"] or "none",
    "attestation": lambda e: {0: "none", 1: "a", 3: "c"}[e["attestation"]],
}


@given(
    dataset=st.sampled_from(list(Dataset)),
    start=st.integers(-26 * 60, 24 * 60),
    length=st.sampled_from([7, 60, 61, 600, 1440, 3000]),
    zone=st.sampled_from(ZONES),
    grouping=st.sampled_from(GROUPINGS),
    choice=st.integers(0, 1000),
    late=st.booleans(),
    is_closed=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_view_equals_a_plain_count(
    busy: World,
    dataset: Dataset,
    start: int,
    length: int,
    zone: str,
    grouping: str,
    choice: int,
    late: bool,
    is_closed: bool,
) -> None:
    if is_closed:  # before the late batch: what it makes stale must not be believed
        while close_hours(busy.database, NOW, 200):
            pass
    if late:
        randomness = random.Random(choice)
        late_device = randomness.choice(
            [name for name, (kind, _) in DEVICES.items() if (kind == "enum") == (dataset is Dataset.ENUM)]
        )
        busy.add(randomness, late_device, 5, FALL_BACK + timedelta(minutes=start), timedelta(minutes=3))
    filters = OF_ENUM if dataset is Dataset.ENUM else OF_SIP
    wanted = filters[choice % len(filters)]
    devices = [
        None,
        None,
        *(name for name, (kind, _) in DEVICES.items() if kind != ("enum", "probe")[dataset is Dataset.ENUM]),
    ]
    device = devices[choice % len(devices)]
    begin = FALL_BACK + timedelta(minutes=start)
    period = {
        "start": begin,
        "end": begin + timedelta(minutes=length),
        "zone": zone,
        "filter": wanted,
        "device": device,
    }
    events = [e for e in busy.matching(dataset, wanted, device) if period["start"] <= e["time"] < period["end"]]
    buckets = plain.per_bucket(events, lambda time: plain.key_of(time, grouping, zone, begin))
    assert_agrees(busy, dataset, grouping, period, events, buckets)


def assert_agrees(
    world: World,
    dataset: Dataset,
    grouping: str,
    period: dict[str, Any],
    events: list[dict[str, Any]],
    buckets: dict[plain.Key, list[Any]],
) -> None:
    """Each view of the dataset says of each bucket what the events in it say."""

    def rows(view: str) -> list[tuple[Any, ...]]:
        return world.ask(dataset, view, grouping, **period)

    assert {row[0]: row[1] for row in rows("average_cps") if row[1]} == {k: len(v) for k, v in buckets.items()}
    assert {row[0]: row[2] for row in rows("peak_cps") if row[2]} == {k: plain.peak(v) for k, v in buckets.items()}
    for view, word in WORDS.items():
        if dataset in VIEWS[view].datasets:
            expected = Counter((key, word(e)) for key, found in buckets.items() for e in found)
            assert {row[:2]: row[2] for row in rows(view)} == expected, view
    for view, figures in FIGURES.items():
        if dataset in VIEWS[view].datasets:
            for key, *found in rows(view):
                assert found == pytest.approx(list(figures(buckets.get(key, []))), nan_ok=False), (view, key)
    for view, sides in (
        ("top_source", ["source"]),
        ("top_destination", ["destination"]),
        ("top_pair", ["source", "destination"]),
    ):
        assert_top(rows(view), buckets, sides)
    if dataset is Dataset.ENUM:
        hits = Counter((k, RULES[e["rule_id"]]) for k, v in buckets.items() for e in v if e["rule_id"])
        monitored = Counter((k, RULES[rule]) for k, v in buckets.items() for e in v for rule in e["monitored"])
        assert {row[:2]: row[2:] for row in rows("rules")} == {k: (hits[k], monitored[k]) for k in hits | monitored}
        latency = {row[0]: row[1:] for row in rows("latency") if row[1]}
        assert {k: row[0] for k, row in latency.items()} == {k: len(v) for k, v in buckets.items()}
        assert {k: row[5] for k, row in latency.items()} == {
            k: max(e["latency_ns"] for e in v) / 1000 for k, v in buckets.items()
        }
        assert {k: row[1] for k, row in latency.items()} == {
            k: pytest.approx(sum(e["latency_ns"] for e in v) / len(v) / 1000) for k, v in buckets.items()
        }


def assert_top(rows: list[tuple[Any, ...]], buckets: dict[plain.Key, list[Any]], sides: list[str]) -> None:
    """Counts and order are those of a plain count; which of several equals comes last is the view's matter."""
    found: dict[plain.Key, dict[tuple[str, ...], int]] = {}
    for key, rank, *numbers, calls in rows:
        found.setdefault(key, {})[tuple(numbers)] = calls
        assert rank == len(found[key])
    assert set(found) == set(buckets)
    for key, events in buckets.items():
        expected = Counter(tuple(f"+{e[side]}" if e[side] else e[f"{side}_raw"] for side in sides) for e in events)
        assert list(found[key].values()) == [calls for _, calls in expected.most_common(5)]
        assert all(expected[number] == calls for number, calls in found[key].items())


@pytest.mark.parametrize("wanted", OF_SIP[:5])
def test_concurrent_calls_are_those_in_progress_each_minute(busy: World, wanted: EventFilter) -> None:
    start, end = FALL_BACK - timedelta(hours=20), FALL_BACK + timedelta(hours=4)
    events = busy.matching(Dataset.SIP, wanted, None)
    instants = [start + timedelta(minutes=minute) for minute in range(24 * 60)]
    up = dict(zip(instants, plain.concurrent(events, instants), strict=True))
    assert wanted.given or max(up.values()) > 0
    rows = busy.ask(Dataset.SIP, "concurrent", "hour", start=start, end=end, filter=wanted)
    for key, average, peak in rows:
        within = [up[key + timedelta(minutes=minute)] for minute in range(60)]
        assert (average, peak) == (pytest.approx(sum(within) / 60, abs=1e-5), max(within))
    seconds = {"start": start + timedelta(hours=10), "end": start + timedelta(hours=10, minutes=2), "filter": wanted}
    for key, _, peak in busy.ask(Dataset.SIP, "concurrent", "second", **seconds):
        assert [peak] == plain.concurrent(events, [key])


def test_seconds_equal_a_plain_count(busy: World) -> None:
    for dataset in Dataset:
        moment = min(event["time"] for event in busy.events[dataset])
        period = {"start": moment, "end": moment + timedelta(minutes=20), "zone": "UTC"}
        events = [e for e in busy.events[dataset] if moment <= e["time"] < period["end"]]
        begin = moment.replace(microsecond=0)
        buckets = plain.per_bucket(events, lambda time, b=begin: plain.key_of(time, "second", "UTC", b))  # type: ignore[misc]
        assert_agrees(busy, dataset, "second", {**period, "start": begin}, events, buckets)


COUNTS = ("call_quarter", "call_hour", "part_quarter", "part_hour", "call_second", "call_up", "hour_total")


def test_an_upgrade_counts_what_was_stored_before_as_ingest_would_have(busy: World) -> None:
    script = (MIGRATIONS / "0008_rollups.sql").read_text(encoding="utf-8")
    with busy.database.connection() as connection:
        by_ingest = {table: _everything(connection, table) for table in COUNTS}
        connection.execute(f"TRUNCATE {', '.join(COUNTS)}".encode())
        connection.execute(script[script.index("-- What was stored before.") :].encode())
        by_upgrade = {table: _everything(connection, table) for table in COUNTS}
    for table in COUNTS:
        assert by_ingest[table], table
        assert by_upgrade[table] == by_ingest[table], table


def test_an_upgrade_packs_what_was_closed_before_as_the_leader_would_have(busy: World) -> None:
    while close_hours(busy.database, NOW, 200):
        pass
    late = busy.events[Dataset.ENUM][0]["time"]  # makes its hour stale, which is then not packed
    busy.add(random.Random(5), "enum-1", 3, late, timedelta(0))
    script = (MIGRATIONS / "0018_months.sql").read_text(encoding="utf-8")
    stale = (
        "DELETE FROM hour_part WHERE (dataset, hour) NOT IN (SELECT dataset, hour FROM hour_part"
        " JOIN (SELECT dataset, hour, sum(calls) AS calls FROM hour_total GROUP BY 1, 2) AS now"
        " USING (dataset, hour, calls) WHERE device_id = 0)"
    )
    with busy.database.connection() as connection:
        assert connection.execute(stale).rowcount
        by_leader = _everything(connection, "hour_part")
        connection.execute("TRUNCATE hour_part")
        connection.execute(script[script.index("-- Hours that are closed") :].encode())
        assert _everything(connection, "hour_part") == by_leader
        assert by_leader


def _everything(connection: Connection, table: str) -> list[str]:
    """The rows of a table, in order; nothing is 0."""
    rows = connection.execute(f"SELECT row_to_json({table}) FROM {table}".encode()).fetchall()
    return sorted(str({name: value or 0 for name, value in sorted(row.items())}) for (row,) in rows)


def test_what_the_network_says_cannot_break_a_count(world: World) -> None:
    texts = ["x" * 100_000, "x" * 64, "é" * 5000, "'; DROP TABLE call_hour", ""]
    events = [{"time": FALL_BACK, "codec": text, "total_ms": -5, "duration_ms": 2**31 - 1} for text in texts]
    world.ingest.accept(world.ids["probe-1"], "sip", 7, 0, sip_upload(events), NOW)
    hour = {"start": FALL_BACK, "end": FALL_BACK + timedelta(hours=1)}
    kept = world.ask(Dataset.SIP, "codecs", "hour", **hour)
    assert {row[1]: row[2] for row in kept} == {"x" * 64: 2, "é" * 64: 1, texts[3]: 1, "none": 1}
    counted = world.ask(Dataset.SIP, "codecs", "hour", **hour, filter=EventFilter(code=200))
    assert counted == kept
    assert world.ask(Dataset.SIP, "concurrent", "hour", **hour) == [(FALL_BACK, 0.0, 0)]


def test_an_hour_that_lost_its_calls_keeps_what_was_made_of_them(busy: World) -> None:
    while close_hours(busy.database, NOW, 200):
        pass
    day = {"start": FALL_BACK - timedelta(hours=31), "end": FALL_BACK - timedelta(hours=7)}
    views = ("calls", "peak_cps", "top_source", "top_pair", "countries")
    before = {view: busy.ask(Dataset.ENUM, view, "hour", **day) for view in views}
    drop_before(busy.database, "enum_event", date(2026, 11, 1))
    assert {view: busy.ask(Dataset.ENUM, view, "hour", **day) for view in views} == before
    assert not close_hours(busy.database, NOW, 200)
