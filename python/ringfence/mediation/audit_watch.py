"""Follows the audit trail's chain once an hour, and keeps its anchors beside the database: `<data>/audit-anchors`.

Whoever alters the database alone is found out by them; whoever owns this machine can alter both, so an anchor belongs
elsewhere too (`ringfence audit anchor`). A restore puts the file aside: an older trail is then what was asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import structlog
from psycopg import Connection

from ringfence.accounts import audit_chain
from ringfence.accounts.audit_chain import Anchor, Verification, anchor_line, anchors_in
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.private_file import write_private

EVERY_S = 3600.0
_KEPT = 5_000  # of an hour each: more than half a year
log = structlog.get_logger()


class AuditWatch:
    """One per process; methods may be called from any thread."""

    def __init__(self, data: Path) -> None:
        self._file = audit_chain.anchors_file(data)
        self._lock = Lock()
        self.found: Verification | None = None
        self.found_at: datetime | None = None

    def verify(self, connection: Connection, anchors: tuple[Anchor, ...] = ()) -> Verification:
        """Follow the chain, against the anchors kept here and those given. What was found is remembered."""
        lines = self._lines()
        try:
            kept = anchors_in("\n".join(lines))
        except InvalidInputError as error:
            found = Verification(0, None, f"{self._file} cannot be believed: {error.message}")
        else:
            found = audit_chain.verify(connection, (*kept, *anchors))
        if not anchors:
            self.found, self.found_at = found, datetime.now(UTC)
        return found

    def keep_anchor(self, database: Database) -> None:
        """Verify, and add the chain's end to the file; of a broken one nothing is added, and the log has an error."""
        with database.connection() as connection:
            found = self.verify(connection)
        if not found.is_whole:
            log.error("audit.broken", fault=found.fault, audit_id=found.broken_at)
            return
        with self._lock:
            lines = self._lines()
            if found.head is not None and (not lines or not lines[-1].endswith(str(found.head))):
                lines.append(anchor_line(found.head, datetime.now(UTC)).rstrip("\n"))
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(self._file, "\n".join(lines[-_KEPT:]) + "\n")

    def note(self) -> str | None:
        """What status says; None: all is well, or nothing was verified yet."""
        return f"audit trail: {self.found.fault}" if self.found is not None and not self.found.is_whole else None

    def _lines(self) -> list[str]:
        try:
            return self._file.read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return []
