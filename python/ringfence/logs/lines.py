"""One line of a log → an entry. Pure.

Read are what `ringfence.log` writes in both formats, and what PostgreSQL writes (its prefix is in database.cluster):

    2026-11-28T04:36:46.123456Z [warning  ] uplink.failed    code=unavailable error='…'
    {"timestamp": "2026-11-28T04:36:46.123456Z", "level": "warning", "event": "uplink.failed", …}
    2026-11-28 04:36:46.123 UTC [17] ringfence@ringfence ringfence ERROR:  deadlock detected

Any other line (a traceback, a detail of PostgreSQL) belongs to the entry before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
_TEXT = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) \[(\w+) *\] (.*)", re.DOTALL)
_POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d [\d:.]+) UTC \[\d+\] (?:.* )?([A-Z]+\d?):  (.*)", re.DOTALL)
_POSTGRES_LEVELS = {"PANIC": "critical", "FATAL": "error", "ERROR": "error", "WARNING": "warning", "LOG": "info"}
# Said to each client while the server starts and stops: no fault.
_ROUTINE = ("the database system is ", "terminating connection due to administrator command")
_EVENT = re.compile(r"(\S+)(?:\s+(.*))?", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class Entry:
    """One event of one process. `fields` are known of JSON logs only; of text, `text` holds what followed the event."""

    at: datetime
    process: str
    level: str
    event: str
    text: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    more: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether somebody should look at it."""
        return self.level in ("error", "critical")

    def as_json(self) -> dict[str, Any]:
        """For `ringfence logs --json`."""
        return {
            "time": self.at.isoformat(),
            "process": self.process,
            "level": self.level,
            "event": self.event,
            "text": self.text,
            "fields": self.fields,
            "more": list(self.more),
        }

    def as_line(self) -> str:
        """For people; what followed the entry stands below it."""
        told = self.text or " ".join(f"{name}={value}" for name, value in self.fields.items())
        head = f"{self.at:%Y-%m-%d %H:%M:%S}Z {self.process:<10} {self.level:<8} {self.event} {told}".rstrip()
        return "\n".join((head, *(f"    {line}" for line in self.more)))


def parse_line(process: str, line: str) -> Entry | None:
    """The entry that begins with this line; None: it begins none."""
    line = _COLOUR.sub("", line.rstrip("\n"))
    try:
        if line.startswith("{"):
            return _from_json(process, json.loads(line))
        if match := _TEXT.match(line):
            event = _EVENT.match(match[3])
            level = _level(match[2])
            return Entry(_time(match[1]), process, level, event[1] if event else "", (event and event[2]) or "")
        if match := _POSTGRES.match(line):
            return _from_postgres(process, *match.groups())
    except (ValueError, KeyError, TypeError):
        pass
    return None


def parse_lines(process: str, lines: Iterable[str]) -> Iterator[Entry]:
    """Entries with what belongs to each. What stands before the first entry is nobody's."""
    current: Entry | None = None
    more: list[str] = []
    for line in lines:
        begun = parse_line(process, line)
        if begun is None:
            if line.strip():
                more.append(line.rstrip("\n"))
            continue
        if current is not None:
            yield replace(current, more=(*current.more, *more))
        current, more = begun, []
    if current is not None:
        yield replace(current, more=(*current.more, *more))


def _from_json(process: str, tree: dict[str, Any]) -> Entry:
    at, level, event = _time(tree.pop("timestamp")), _level(str(tree.pop("level"))), str(tree.pop("event"))
    exception = str(tree.pop("exception", "")).splitlines()
    return Entry(at, process, level, event, "", tree, tuple(exception))


def _from_postgres(process: str, at: str, severity: str, text: str) -> Entry | None:
    if severity in ("DETAIL", "HINT", "CONTEXT", "STATEMENT", "QUERY", "LOCATION"):
        return None
    level = _POSTGRES_LEVELS.get(severity, "info")
    if severity == "FATAL" and text.startswith(_ROUTINE):
        level = "info"
    return Entry(datetime.fromisoformat(at).replace(tzinfo=UTC), process, level, "postgresql", text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _level(text: str) -> str:
    return "error" if text == "exception" else text if text in LEVELS else "info"
