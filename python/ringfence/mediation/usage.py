"""Which rules of a policy do nothing: no call matched them in a period, or none ever can."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from ringfence.analytics.hits import rule_hits
from ringfence.policy import engines, versions
from ringfence.policy.coverage import shadowed_by
from ringfence.policy.rules import Policy


def rule_usage(connection: Connection, start: datetime, now: datetime, version: int | None = None) -> dict[str, Any]:
    """Every rule of a version (None: the installed one; without one nothing) in its order, with what it did since
    `start`, and since when calls are counted: a rule cannot be called unused for longer than that.
    """
    wanted = versions.installed_everywhere(connection).version if version is None else version
    if wanted == versions.UNINSTALLED.version:
        nothing: dict[str, Any] = {"version": 0, "counted_since": None, "rules": [], "unused": []}
        return nothing | {"start": start.isoformat()}
    rules = engines.rules_of(connection, wanted)
    report = rule_hits(connection, start, now, rules=[rule.rule_id for rule in rules], now=now)
    counted = report.as_json()
    policy = Policy.model_validate(versions.read_source(connection, wanted))
    shadowed = {name: earlier.name for name, earlier in shadowed_by(policy.rules).items()}
    found = []
    for rule, hits in zip(rules, counted["rules"], strict=True):
        is_unused = rule.mode != "off" and not hits["hits"] and not hits["monitored"]
        shown = {name: hits[name] for name in ("id", "name", "hits", "monitored", "last_at", "last_hit_at")}
        found.append(
            shown
            | {"mode": rule.mode, "action": rule.action, "is_unused": is_unused, "shadowed_by": shadowed.get(rule.name)}
        )
    return {
        "version": wanted,
        "start": start.isoformat(),
        "counted_since": counted["counted_since"],
        "rules": found,
        "unused": [rule["name"] for rule in found if rule["is_unused"]],
    }
