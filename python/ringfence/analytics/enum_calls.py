"""One ENUM query as people read it: the columns of a row, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ringfence._native import parse_source
from ringfence.analytics.cursor import Cursor, call_name
from ringfence.analytics.words import number_text
from ringfence.vocabulary import Action, Dataset, Direction, NumberClass, Reason


@dataclass(frozen=True)
class Call:
    """One call as people read it: words, rule names, E.164 with plus or the raw text."""

    time: datetime
    dataset: str
    device: str
    source: str
    destination: str
    direction: str
    action: str
    rule: str | None
    reason: str
    target: str | None
    policy_version: int
    latency_us: float
    peer: str
    stream: int
    sequence: int
    monitored: tuple[str, ...]
    # What the source URI has of `tgrp`, `trunk-context`, `rn`, `cic`: the trunk, and how the call is routed.
    source_parameters: Mapping[str, str]
    reported_time: datetime | None
    source_class: str
    destination_class: str

    @property
    def cursor(self) -> Cursor:
        """Where the page after this call begins."""
        return Cursor(self.time, self.stream, self.sequence)

    @property
    def id(self) -> str:
        """Names the call for good, in addresses and in the API."""
        return call_name(Dataset.ENUM, self.cursor)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON; `reported_time` only where the device's clock could not be believed.

        `source` is null when the SBC sent none; a caller that hides says so in words (`anonymous`).
        """
        values = {
            "id": self.id,
            "time": self.time.isoformat(timespec="microseconds"),
            "dataset": self.dataset,
            "device": self.device,
            "source": None if self.source_class == NumberClass.ABSENT.word else self.source,
            "destination": self.destination,
            "direction": self.direction,
            "action": self.action,
            "rule": self.rule,
            "policy_version": self.policy_version,
            "reason": self.reason,
            "target": self.target,
            "source_class": self.source_class,
            "destination_class": self.destination_class,
            "latency_us": self.latency_us,
            "peer": self.peer,
            "stream": self.stream,
            "sequence": self.sequence,
            "monitored": list(self.monitored),
            "source_parameters": dict(self.source_parameters),
        }
        if self.reported_time is not None:
            values["reported_time"] = self.reported_time.isoformat(timespec="microseconds")
        return values


# Names are looked up for the page's rows only.
ENUM_PAGE = """
SELECT page.*, device.name AS device, policy_rule.name AS rule,
       ARRAY(SELECT coalesce(r.name, '#' || m.id) FROM unnest(page.monitored) WITH ORDINALITY AS m (id, place)
             LEFT JOIN policy_rule AS r ON r.rule_id = m.id ORDER BY m.place) AS monitored_names
FROM ({rows}) AS page
LEFT JOIN device USING (device_id)
LEFT JOIN policy_rule USING (rule_id)
ORDER BY {order}
"""


def enum_call(row: dict[str, Any]) -> Call:
    """The query of a row of `ENUM_PAGE`."""
    return Call(
        time=row["time"].astimezone(UTC),
        dataset=Dataset.ENUM.word,
        device=row["device"] or f"#{row['device_id']}",
        source=number_text(row["source"], row["source_raw"], row["source_class"]),
        destination=number_text(row["destination"], row["destination_raw"], row["destination_class"]),
        direction=Direction.word_of(row["direction"]),
        action=Action.word_of(row["action"]),
        rule=row["rule"] or (f"#{row['rule_id']}" if row["rule_id"] else None),
        reason=Reason.word_of(row["reason"]),
        target=f"+{row['target']}" if row["target"] else None,
        policy_version=row["policy_version"],
        latency_us=row["latency_ns"] / 1000,
        peer=f"[{row['peer']}]:{row['peer_port']}" if ":" in row["peer"] else f"{row['peer']}:{row['peer_port']}",
        stream=row["stream_id"],
        sequence=row["sequence"],
        monitored=tuple(row["monitored_names"] or ()),
        source_parameters=parse_source(row["source_raw"] or ""),
        reported_time=row["reported_time"] and row["reported_time"].astimezone(UTC),
        source_class=NumberClass.word_of(row["source_class"]),
        destination_class=NumberClass.word_of(row["destination_class"]),
    )
