"""Calls as edges would have recorded them: decided by the compiled engine itself, call by call, then ingested."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection
from tests.ingest import samples

from ringfence._native import DynamicEntries, Policy
from ringfence.database.connection import Database
from ringfence.mediation.ingest.store import Ingest
from ringfence.mediation.sites import first_site
from ringfence.policy.documents import Place
from ringfence.policy.engines import version_candidate
from ringfence.vocabulary import Action, Direction, NumberClass, Reason


def engine_of(connection: Connection, version: int) -> Policy:
    """A version as devices of the first site have it that no rule names."""
    place = Place(first_site(connection))
    return version_candidate(connection, version, [place]).places[place.site.name, ""].engine


def decided(
    engine: Policy, source: str | None, destination: str, time: datetime, entries: DynamicEntries | None = None
) -> dict[str, Any]:
    """The event of a call, decided by `explain`: the plain walk over the rules, not the way that replay goes."""
    answer = json.loads(engine.explain(source, destination, int(time.timestamp() * 1e6), entries))
    ids = {rule["name"]: rule["id"] for rule in answer["rules"]}

    def number(side: str) -> int:
        shown = str(answer[side] or "")
        return int(shown[1:]) if shown.startswith("+") else 0

    return {
        "time": time,
        "source": number("source"),
        "destination": number("destination"),
        "target": int(answer["target"][1:]) if answer["target"] else 0,
        "source_class": int(NumberClass[answer["source_class"].upper()]),
        "destination_class": int(NumberClass[answer["destination_class"].upper()]),
        "direction": int(Direction[answer["direction"].upper()]),
        "action": int(Action[answer["action"].upper()]),
        "reason": int(Reason[answer["reason"].upper()]),
        "rule_id": answer["rule_id"],
        "policy_version": answer["policy_version"],
        "source_raw": source or "",
        "destination_raw": destination.removeprefix("+"),
        "monitored": [ids[name] for name in answer["monitored"]],
    }


def record(
    database: Database, device_id: int, events: Sequence[dict[str, Any]], now: datetime, first: int = 1, stream: int = 0
) -> None:
    """Ingest events of a device, sequences from `first`."""
    body = samples.upload(events, first)
    Ingest(database).accept(device_id, "enum", 5, stream, body, now=now)
