"""Logs of every process: one named event with fields a line, to standard error or to a file put aside when it is full.

Processes call `configure_logging` once at start; modules do `log = structlog.get_logger()`. Under systemd standard
error is the journal, and each line says its priority. What was logged as an error lately is remembered: a process tells
it of itself (heartbeat, status), so that nobody has to read logs to know that there is something in them.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

import structlog

from ringfence.service.journal import is_journal
from ringfence.settings import LogSettings, Settings

# Errors older than this are of no interest to a status (R21: none after 30 minutes).
REMEMBERED_S = 1800.0
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2, "exception": 3}  # sd-daemon(3)
_errors: deque[float] = deque(maxlen=10_000)


def log_file(settings: Settings, name: str) -> Path | None:
    """Where the process of this name logs to; None: to standard error."""
    return settings.data / "log" / f"{name}.log" if settings.log.to == "file" else None


def configure_logging(settings: LogSettings, file: Path | None = None) -> None:
    """Set level, format and place of structlog, and send what libraries log through it too."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    # Both write lines of text, which is all that is asked of them.
    stream = sys.stderr if file is None else cast(TextIO, RotatingFile(file, settings.file_bytes, settings.files))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _remember_errors,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    last = [structlog.processors.format_exc_info] if settings.format == "json" else []
    render = _with_priority(renderer) if is_journal(stream) else renderer
    structlog.configure(
        processors=[*shared, *last, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*last, _without_meta, render])
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def recent_errors(now_s: float | None = None) -> int:
    """How many errors this process logged within the last half hour; `now_s` as `time.monotonic()` tells it."""
    now_s = time.monotonic() if now_s is None else now_s
    return sum(1 for at in tuple(_errors) if now_s - at <= REMEMBERED_S)


class RotatingFile(io.TextIOBase):
    """A log file, put aside as `NAME.1`, `NAME.2` … when it is full. A full disk loses lines, never a process."""

    def __init__(self, file: Path, most_bytes: int, keep: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._keep = keep
        self._stream: TextIO | None = None
        self._size = 0

    def write(self, text: str) -> int:
        """Append; a whole line may pass the limit by itself, and is not cut."""
        with suppress(OSError):
            if self._stream is not None and self._size + len(text) > self._most_bytes and self._size > 0:
                self._put_aside()
            if self._stream is None:
                self._open()
            if self._stream is not None:
                self._stream.write(text)
                self._size += len(text.encode())
        return len(text)

    def flush(self) -> None:
        """Nothing waits: lines are written as they come."""

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stream = self._file.open("a", encoding="utf-8", buffering=1)
        self._size = self._file.stat().st_size

    def _put_aside(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            newer = self._file if number == 1 else self._file.with_name(f"{self._file.name}.{number - 1}")
            with suppress(FileNotFoundError):
                newer.replace(self._file.with_name(f"{self._file.name}.{number}"))


def _remember_errors(
    logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if event.get("level") in ("error", "critical", "exception"):
        _errors.append(time.monotonic())
    return event


def _with_priority(renderer: structlog.typing.Processor) -> structlog.typing.Processor:
    def render(logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict) -> str:
        priority = _PRIORITIES.get(str(event.get("level")), 6)
        return f"<{priority}>{renderer(logger, name, event)!s}"

    return render


def _without_meta(
    logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, name, event)
