"""Contents of lists on the edge's own disk, each in a file named by its SHA-256 (docs/contracts.md 2, 4).

    fetched ─► saved (whole, synced, renamed) ─► policy installed and saved ─► what no stored policy names is dropped
A file that does not have the hash of its name is refused and put away; the mediation sends the content again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import structlog

from ringfence._native import list_contents

log = structlog.get_logger()


class ContentStore:
    """The folder of contents. Bounded by `keep_only`: what the stored policy needs, and what is just being fetched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, content: str) -> bytes | None:
        """A content; None when it is not there or damaged."""
        file = self._folder / content
        try:
            octets = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("list_content.unreadable", file=str(file), error=str(error))
            return None
        if hashlib.sha256(octets).hexdigest() == content:
            return octets
        log.error("list_content.damaged", file=str(file), octets=len(octets))
        self._unlink(file)
        return None

    def load_for(self, document: bytes) -> tuple[dict[str, bytes], list[str]]:
        """The contents that a document names, and the hashes of those that are missing. ValueError: no document."""
        held = {content: self.load(content) for content in list_contents(document)}
        return (
            {content: octets for content, octets in held.items() if octets is not None},
            [content for content, octets in held.items() if octets is None],
        )

    def save(self, contents: Mapping[str, bytes]) -> None:
        """Contents whose hashes are checked; they are on the disk when this returns. OSError."""
        if not contents:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for content, octets in contents.items():
            fresh = self._folder / f"{content}.new"
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._folder / content)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def keep_only(self, contents: Collection[str]) -> None:
        """Drop every other file, half written ones too."""
        if self._folder.is_dir():
            for file in self._folder.iterdir():
                if file.name not in contents:
                    self._unlink(file)

    def _unlink(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.error("list_content.not_dropped", file=str(file), error=str(error))
