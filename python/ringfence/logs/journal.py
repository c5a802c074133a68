"""systemd's journal: what our units wrote there, and what systemd says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ringfence.errors import UnavailableError
from ringfence.logs.lines import Entry, parse_line

_LEVELS = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")  # by priority, syslog(3)


class Journal:
    """The journal of this machine, or of what `directory` holds; remembers how far it was read."""

    def __init__(self, directory: str | None = None) -> None:
        self._program = shutil.which("journalctl", path="/usr/bin:/bin")
        self._where = () if directory is None else (f"--directory={directory}",)
        self._cursor: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is one to read."""
        return self._program is not None

    def read(self, since: datetime) -> Iterator[Entry]:
        """Entries since then, oldest first. UnavailableError when it cannot be read."""
        yield from self._entries(f"--since=@{since.timestamp():.6f}")

    def new_entries(self, since: datetime) -> list[Entry]:
        """Entries after the last that was read; none read yet: since then."""
        after = f"--since=@{since.timestamp():.6f}" if self._cursor is None else f"--after-cursor={self._cursor}"
        return list(self._entries(after))

    def _entries(self, what: str) -> Iterator[Entry]:
        if self._program is None:
            return
        command = [self._program, *self._where, "--no-pager", "--quiet", "--output=json", "--unit=ringfence-*", what]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
        if done.returncode != 0 and done.stderr.strip():
            raise UnavailableError(f"journal: {done.stderr.strip().splitlines()[0]}")
        current: Entry | None = None
        for line in done.stdout.splitlines():
            record = json.loads(line)
            self._cursor = record.get("__CURSOR", self._cursor)
            entry = entry_of(record)
            if entry.event or current is None or current.process != entry.process:
                if current is not None:
                    yield current
                current = entry
            elif entry.text:  # a line that begins nothing: of a traceback
                current = replace(current, more=(*current.more, entry.text))
        if current is not None:
            yield current


def entry_of(record: dict[str, Any]) -> Entry:
    """One record of `journalctl --output=json`. An event that is empty: the line begins none. Pure."""
    message = record.get("MESSAGE") or ""
    if isinstance(message, list):  # what is not UTF-8 comes as numbers
        message = bytes(message).decode("utf-8", "replace")
    unit = str(record.get("UNIT") or record.get("_SYSTEMD_UNIT") or "")
    process = unit.removeprefix("ringfence-").removesuffix(".service") or "ringfence"
    parsed = parse_line(process, message)
    if parsed is not None:
        return parsed
    at = datetime.fromtimestamp(int(record.get("__REALTIME_TIMESTAMP", 0)) / 1e6, UTC)
    if record.get("UNIT") or record.get("SYSLOG_IDENTIFIER") == "systemd":
        return Entry(at, process, _level(record), "systemd", message)
    return Entry(at, process, _level(record), "" if message[:1].isspace() else "output", message)


def _level(record: dict[str, Any]) -> str:
    priority = str(record.get("PRIORITY", "6"))
    return _LEVELS[int(priority)] if priority.isdigit() and int(priority) < len(_LEVELS) else "info"
