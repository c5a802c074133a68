"""How the parts of an agent tell that the mediation failed them: each its event, a refused credential one of all."""

from __future__ import annotations

import time

import structlog

from ringfence.errors import NotSignedInError, RingfenceError

# All parts meet a refused credential every few seconds; a person needs to be told only so often.
REFUSED_EVERY_S = 60.0

log = structlog.get_logger()


class Failures:
    """Shared by the parts of one agent."""

    def __init__(self) -> None:
        self._refused_at: float | None = None

    def tell(self, event: str, error: RingfenceError) -> None:
        """Log a failure of one part under its event."""
        if not isinstance(error, NotSignedInError):
            log.warning(event, code=error.code, error=error.message)
            return
        now = time.monotonic()
        if self._refused_at is not None and now - self._refused_at < REFUSED_EVERY_S:
            return
        self._refused_at = now
        log.error(
            "agent.credential_refused",
            error=error.message,
            todo="invite this device again (`ringfence device invite NAME`) and enrol it with the token",
            meanwhile="queries are answered by the last policy, events are kept",
        )
