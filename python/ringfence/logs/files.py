"""Log files below data folders: those of our processes, and PostgreSQL's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from ringfence.errors import ForbiddenError
from ringfence.logs.lines import Entry, parse_lines

_OURS = re.compile(r"([a-z]+)\.log(?:\.(\d+))?")


def log_files(data: Path) -> list[tuple[str, Path]]:
    """Process and file, those put aside first. ForbiddenError where they may not be read."""
    found: list[tuple[str, int, Path]] = []
    try:
        found += [
            (match[1], -int(match[2] or 0), file)
            for file in _listed(data / "log")
            if (match := _OURS.fullmatch(file.name))
        ]
        found += [("database", 0, file) for file in _listed(_cluster_log(data)) if file.suffix == ".log"]
    except PermissionError:
        raise ForbiddenError(f"{data} is readable only by its owner: run as that user, or as root") from None
    return [(process, file) for process, _, file in sorted(found, key=lambda one: (one[0], one[1], one[2].name))]


def read_files(data: Path, since: datetime) -> Iterator[Entry]:
    """Entries since then, each file's in their order. A file that was last written before is not opened."""
    for process, file in log_files(data):
        try:
            if file.stat().st_mtime < since.timestamp():
                continue
            with file.open(encoding="utf-8", errors="replace") as lines:
                yield from (entry for entry in parse_lines(process, lines) if entry.at >= since)
        except FileNotFoundError:
            continue  # put aside meanwhile


class FileFollower:
    """What is new in the log files, from the moment that it is made."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._read = {_identity(file): file.stat().st_size for folder in folders for _, file in log_files(folder)}

    def new_entries(self) -> list[Entry]:
        """Entries whose lines are complete; a file that was put aside is read to its end under its new name."""
        found: list[Entry] = []
        for folder in self._folders:
            for process, file in log_files(folder):
                try:
                    with file.open("rb") as stream:
                        identity = _identity(file)
                        offset = self._read.get(identity, 0)
                        size = os.fstat(stream.fileno()).st_size
                        stream.seek(offset if offset <= size else 0)
                        text = stream.read()
                except FileNotFoundError:
                    continue
                complete = text[: text.rfind(b"\n") + 1]
                self._read[identity] = (offset if offset <= size else 0) + len(complete)
                found += parse_lines(process, complete.decode("utf-8", "replace").splitlines())
        return sorted(found, key=lambda entry: entry.at)


def _listed(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(folder)] if folder.is_dir() else []


def _cluster_log(data: Path) -> Path:
    return data / "postgresql" / "cluster" / "log"


def _identity(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino
