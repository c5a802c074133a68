"""Reads a capture file to its end: the native reader in this thread, progress told from another.

The same engine that reads a tap; what it finds depends on the file alone. Nothing is stored here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence._native import CaptureReader
from ringfence.errors import ConfigurationError, InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site, dial_plan_of

# A call as `docs/contracts.md` 7 has it: a record, its numbers, and its messages where they were asked for.
CaptureCall = dict[str, Any]

_TELL_S = 0.2
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class CaptureOptions:
    """How a file is read. Without a site, calls have no numbers."""

    site: Site | None = None
    trunk_networks: tuple[str, ...] = ()
    with_messages: bool = False
    call_bytes: int = 64 << 10

    def as_json(self) -> str:
        """For the native reader."""
        options: dict[str, Any] = {
            "messages": self.with_messages,
            "call_octets": self.call_bytes,
            "trunk_networks": list(self.trunk_networks),
        }
        if self.site is not None:
            options["site"] = self.site.as_document()
            options["protected"] = list(dial_plan_of(self.site.country).emergency)
        return json.dumps(options)


def read_capture(
    path: str,
    options: CaptureOptions,
    take: Callable[[Iterable[str]], None],
    tell: Callable[[int, int], None] = lambda _octets, _frames: None,
) -> dict[str, Any]:
    """Read `path` (`-`: standard input); the outcome: counters, and what is to be known about the file.

    `take` gets the calls as JSON texts in the order of their ends. `tell` gets the octets and frames read so far, from
    another thread; what it raises ends the reading and is raised here. InvalidInputError: not a capture;
    NotFoundError, ConfigurationError: the file or the options are at fault.
    """
    if path != STANDARD_INPUT and not Path(path).is_file():
        raise NotFoundError(f"{path}: there is no such file")
    try:
        reader = CaptureReader(path, options.as_json())
    except ValueError as error:
        raise ConfigurationError(f"capture: {error}") from None
    watch = _Watch(reader, tell)
    try:
        with watch:
            outcome: dict[str, Any] = json.loads(reader.run(take))
    except ValueError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from None
    if watch.error is not None:
        raise watch.error
    return outcome


class _Watch:
    """Tells the progress while a reader runs."""

    def __init__(self, reader: CaptureReader, tell: Callable[[int, int], None]) -> None:
        self._reader = reader
        self._tell = tell
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture-progress", daemon=True)
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(_TELL_S):
            try:
                self._tell(*self._reader.progress())
            except BaseException as error:  # handed to the thread that reads, which raises it
                self.error = error
                self._reader.cancel()
                return
