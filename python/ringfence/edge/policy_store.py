"""The last good policy on the edge's own disk, so that it survives restart and power cut (R4).

One file, replaced atomically: a head line, then exactly the document's bytes.
```text
ringfence-policy 1 <version> <sha256 of the document> <check of the two>\\n<document>
```
A file that is not what its head says is refused and set aside; the mediation sends the document again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from ringfence.edge.content_store import ContentStore

_HEAD_MAX = 200
_NAME = "installed"

log = structlog.get_logger()


@dataclass(frozen=True)
class StoredPolicy:
    """A policy document with its version and SHA-256."""

    version: int
    hash: str
    document: bytes


class PolicyStore:
    """The folder with the last good policy; or, told `what`, with another numbered document."""

    def __init__(self, folder: Path, what: str = "policy") -> None:
        self._folder = folder
        self._what = what
        self._head = f"ringfence-{what} 1 ".encode()
        self._file = folder / _NAME
        # Of lists that the stored policy names.
        self.contents = ContentStore(folder / "lists")

    def load(self) -> StoredPolicy | None:
        """What was saved last; None when there is none, or it is damaged (then it is set aside)."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error(f"{self._what}.unreadable", file=str(self._file), error=str(error))
            return None
        policy = _parse(content, self._head)
        if policy is None:
            self.set_aside("is not what its head says")
        return policy

    def save(self, policy: StoredPolicy) -> None:
        """Make `policy` the last good one; it is on the disk when this returns. OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._head + _told(policy.version, policy.hash) + b"\n" + policy.document)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
        self._sync_folder()

    def clear(self) -> None:
        """Uninstalled: there is no last good policy."""
        if self._file.exists():
            self._file.unlink()
            self._sync_folder()

    def set_aside(self, why: str) -> None:
        """Keep a damaged file for inspection, out of the way."""
        aside = self._file.with_suffix(".damaged")
        log.error(f"{self._what}.set_aside", file=str(self._file), kept_as=str(aside), why=why)
        try:
            self._file.replace(aside)
        except OSError as error:
            log.error(f"{self._what}.set_aside_failed", file=str(self._file), error=str(error))

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse(content: bytes, start: bytes) -> StoredPolicy | None:
    if not content.startswith(start):
        return None
    end = content.find(b"\n", 0, _HEAD_MAX)
    head, document = content[len(start) : end], content[end + 1 :]
    version = head.partition(b" ")[0]
    content_hash = hashlib.sha256(document).hexdigest()
    if end < 0 or not version.isdigit() or head != _told(int(version), content_hash):
        return None
    return StoredPolicy(int(version), content_hash, document)


def _told(version: int, content_hash: str) -> bytes:
    """What the head says of a document; its last word makes a damaged version number noticed too."""
    told = f"{version} {content_hash}"
    return f"{told} {hashlib.sha256(told.encode()).hexdigest()[:16]}".encode()
