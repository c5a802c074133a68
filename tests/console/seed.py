"""A small network's last hours, put into the database: two ENUM servers, a policy, calls of every kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
from psycopg import Connection, Cursor
from tests.acceptance.samples import sample_plan, sample_record
from tests.console.seed_calls import add_probe_calls

from ringfence.acceptance.store import save_plan, save_record
from ringfence.accounts.people import change_password, create_person, sign_in
from ringfence.database.connection import Database
from ringfence.database.partitions import ensure_between
from ringfence.mediation.devices import Heartbeat, record_heartbeat, record_hello, register_device
from ringfence.mediation.ingest.classes import with_classes
from ringfence.mediation.ingest.counters import add
from ringfence.mediation.ingest.hits import add_hits, count_hits
from ringfence.mediation.ingest.rollups import additions
from ringfence.mediation.ingest.schema import TIME
from ringfence.mediation.sites import ensure_first_site, first_site
from ringfence.numbering.classification import Classifier
from ringfence.policy.rules import Policy
from ringfence.policy.versions import commit_policy, install_version
from ringfence.settings import SiteSettings
from ringfence.vocabulary import Action, Dataset, Direction, NumberClass, Reason, Role

PASSWORD = "correct battery horse staple"
PEOPLE = {"ada": Role.ADMINISTRATOR, "eve": Role.EDITOR, "vera": Role.VIEWER}
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned=1'>"
PREMIUM, MOVED = 19005550100, 12105550100
HOURS = 30
_TYPES: dict[str, pa.DataType] = {
    "time": TIME, "stream_id": pa.int32(), "sequence": pa.int64(), "source": pa.int64(), "destination": pa.int64(),
    "target": pa.int64(), "rule_id": pa.int32(), "policy_version": pa.int32(), "latency_ns": pa.int32(),
    "peer_port": pa.int32(), "peer": pa.string(), "source_raw": pa.string(), "destination_raw": pa.string(),
    "monitored": pa.list_(pa.int32()),
}  # fmt: skip

POLICY: dict[str, Any] = {
    "rules": [
        {"name": "premium", "destinations": ["+1900*"], "action": "terminate", "note": "No premium numbers"},
        {"name": "moved", "destinations": ["+12105550100"], "action": "redirect", "target": "+12105550199"},
        {"name": "robocalls", "mode": "monitor", "sources": ["list:suspects"], "action": "terminate"},
    ],
    "lists": {"suspects": ["+13125550100-+13125550199"]},
}


def seed(database: Database, now: datetime) -> None:
    """Fill a migrated, empty database."""
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings(own_ranges=("+12105550000-+12105559999",)))
        for name, role in PEOPLE.items():
            add_person(connection, name, role, now)
        rules = _install_policy(connection)
        _add_devices(connection, now)
        rows = _add_history(connection, rules, now)
        add_call(connection, now - timedelta(minutes=3), source=0, source_raw=HOSTILE,
                 source_class=NumberClass.INVALID, action=Action.ALLOW)  # fmt: skip
        save_plan(connection, sample_plan(), "ada", now)
        save_record(connection, sample_record({("B3", "east-enum-2"): "FAIL", ("C1", "west-probe-1"): "OTHER"}))
    add_probe_calls(database, rows)


def seed_workshop(database: Database, now: datetime) -> None:
    """People, a site and a first version of a policy; no device, no call."""
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings(own_ranges=("+12105550000-+12105559999",)))
        for name, role in PEOPLE.items():
            add_person(connection, name, role, now)
        policy = Policy.model_validate({"rules": POLICY["rules"][:1]})
        made = commit_policy(connection, policy, first_site(connection), "ada", "Stop premium calls")
        install_version(connection, made.version.version, "ada")


def add_person(connection: Connection[Any], name: str, role: Role, now: datetime) -> None:
    """An account whose password is PASSWORD."""
    one_time = create_person(connection, name, role, "tests")
    identity = sign_in(connection, name, one_time, None, now).identity
    change_password(connection, identity, one_time, PASSWORD)


def add_call(connection: Connection[Any], time: datetime, **fields: Any) -> None:
    """One call of the first device as ingest stores it, counted in its minute."""
    add_calls(connection, [{"time": time, **fields}])


def add_calls(connection: Connection[Any], calls: list[dict[str, Any]]) -> None:
    """Calls of the first device as ingest stores them, in the order of their times."""
    ensure_between(connection, "enum_event", calls[0]["time"], calls[-1]["time"], calls[-1]["time"])
    row = connection.execute("SELECT stream_id, device_id, last_sequence FROM device_stream ORDER BY 1").fetchone()
    assert row is not None
    stream, device, last = row
    rows = [
        _defaults(call["time"]) | {"stream_id": stream, "device_id": device, "sequence": sequence} | call
        for sequence, call in enumerate(calls, last + 1)
    ]
    _insert(connection, rows)
    connection.execute("UPDATE device_stream SET last_sequence = %s WHERE stream_id = %s", (last + len(calls), stream))


def _install_policy(connection: Connection[Any]) -> dict[str, int]:
    site = first_site(connection)
    commit_policy(connection, Policy.model_validate({"rules": POLICY["rules"][:1]}), site, "ada", "Stop premium calls")
    version = commit_policy(connection, Policy.model_validate(POLICY), site, "ada", "Extension 100 has moved").version
    install_version(connection, version.version, "ada")
    return dict(connection.execute("SELECT name, rule_id FROM policy_rule").fetchall())


def _add_devices(connection: Connection[Any], now: datetime) -> None:
    for name, version, seen in (("enum-1", 2, now + timedelta(hours=1)), ("enum-2", 1, now - timedelta(minutes=14))):
        device, _ = register_device(connection, name, "enum", None, "ada")
        record_hello(connection, device, "enum", "0.1.0", int(seen.timestamp() * 1e6), "192.0.2.10", seen)
        report = {"counters": {"queries": 184_233}, "journal": {"durable": 184_233, "acknowledged": 184_233, "lost": 0}}
        heartbeat = Heartbeat(version, "", int(seen.timestamp() * 1e6), report)
        record_heartbeat(connection, device, heartbeat, "192.0.2.10", seen)
        connection.execute(
            "INSERT INTO device_stream (device_id, journal_id, stream, last_sequence) VALUES (%s, 1, 0, 100000)",
            (device.device_id,),
        )
    register_device(connection, "enum-3", "enum", None, "ada")


def _add_history(connection: Connection[Any], rules: Mapping[str, int], now: datetime) -> list[dict[str, Any]]:
    ensure_between(connection, "enum_event", now - timedelta(hours=HOURS), now, now)
    streams = connection.execute("SELECT stream_id, device_id FROM device_stream ORDER BY 1").fetchall()
    rows = list(_history(rules, now, streams))
    _insert(connection, rows)
    _count_hits(connection, rows)
    return rows


def _count_hits(connection: Connection[Any], rows: list[dict[str, Any]]) -> None:
    devices = dict(connection.execute("SELECT stream_id, device_id FROM device_stream").fetchall())
    for stream, device in devices.items():
        theirs = pa.RecordBatch.from_pylist(
            [
                {"time": row["time"], "rule_id": row["rule_id"], "monitored": row["monitored"] or []}
                for row in rows
                if row["stream_id"] == stream
            ],
            pa.schema({"time": TIME, "rule_id": pa.int32(), "monitored": pa.list_(pa.int32())}),
        )
        add_hits(connection, device, count_hits(theirs))


def _history(rules: Mapping[str, int], now: datetime, streams: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    dice = Random(7)
    callers = [12105550100 + dice.randrange(60) for _ in range(14)] + [13125550100 + n for n in range(5)]
    called = [PREMIUM, MOVED] + [14155550100 + n for n in range(6)] + [442079460100 + n for n in range(3)]
    weights = [3, 2, 9, 7, 6, 5, 4, 4, 2, 2, 1]
    time = now - timedelta(hours=HOURS)
    sequence = 0
    while time < now - timedelta(seconds=20):
        age = (now - time) / timedelta(hours=1)  # at whatever hour of the day a test runs, the last ten are busy
        busy = 1.2 if 10 <= age <= 22 else 6.0
        time += timedelta(seconds=dice.expovariate(busy / 60))
        sequence += 1
        stream, device = streams[0] if dice.random() < 0.7 else streams[1]
        destination = dice.choices(called, weights)[0]
        source = dice.choice(callers)
        own = source // 10_000 == 1210555
        more: dict[str, Any] = {"direction": Direction.OUTBOUND if own else Direction.TRANSIT}
        if destination == PREMIUM:
            more |= {"action": Action.TERMINATE, "reason": Reason.RULE, "rule_id": rules["premium"]}
        elif destination == MOVED:
            more |= {"action": Action.REDIRECT, "reason": Reason.RULE, "rule_id": rules["moved"],
                     "target": 12105550199, "direction": Direction.INBOUND}  # fmt: skip
        if not own:
            more["monitored"] = [rules["robocalls"]]
        yield _defaults(min(time, now - timedelta(seconds=5))) | {
            "stream_id": stream, "device_id": device, "sequence": sequence, "source": source,
            "destination": destination, "latency_ns": dice.randrange(3_000, 30_000),
        } | more  # fmt: skip


def _defaults(time: datetime) -> dict[str, Any]:
    return {
        "time": time.astimezone(UTC), "source": 12105550123, "destination": 14155550100, "target": 0,
        "rule_id": 0, "policy_version": 2, "latency_ns": 9_000, "peer_port": 40_000, "transport": 1,
        "direction": Direction.OUTBOUND, "action": Action.ALLOW, "reason": Reason.DEFAULT, "rcode": 0,
        "source_class": NumberClass.NUMBER, "destination_class": NumberClass.NUMBER, "source_origin": 1,
        "peer": "192.0.2.20", "source_raw": None, "destination_raw": None, "monitored": None,
    }  # fmt: skip


def _insert(connection: Connection[Any], rows: list[dict[str, Any]]) -> None:
    """Store and count calls by the steps of ingest."""
    for device in sorted({row["device_id"] for row in rows}):
        theirs = [row for row in rows if row["device_id"] == device]
        batch = with_classes(_batch(theirs), Classifier(), "US")
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY enum_event ({', '.join(batch.schema.names)}) FROM STDIN") as copy:
                for row in batch.to_pylist():
                    copy.write_row(list(row.values()))
            _count_minutes(cursor, device, theirs)
        for addition in additions(batch, Dataset.ENUM, "action"):
            add(connection, addition, device, int(Dataset.ENUM))


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    names = sorted({name for row in rows for name in row})
    schema = pa.schema([(name, _TYPES.get(name, pa.int16())) for name in names])
    return pa.RecordBatch.from_pylist([{name: _plain(value) for name, value in row.items()} for row in rows], schema)


def _count_minutes(cursor: Cursor[Any], device: int, rows: list[dict[str, Any]]) -> None:
    minutes = Counter((row["time"].replace(second=0, microsecond=0), int(row["action"])) for row in rows)
    cursor.execute(
        """
        INSERT INTO call_minute (minute, device_id, dataset, action, calls)
        SELECT minute, %s, 1, action, calls
        FROM unnest(%s::timestamptz[], %s::smallint[], %s::bigint[]) AS m (minute, action, calls)
        ON CONFLICT (device_id, dataset, minute, action) DO UPDATE SET calls = call_minute.calls + EXCLUDED.calls
        """,
        [device, *(list(column) for column in zip(*minutes, strict=True)), list(minutes.values())],
    )


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value


__all__ = ["HOSTILE", "PASSWORD", "add_call", "add_person", "seed"]
