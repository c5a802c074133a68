"""One base error for the whole package: a code, a message for people, a detail for machines.

Domain packages raise these; each edge (CLI, API, console) maps them once to exit codes or statuses.
"""

from __future__ import annotations

from typing import Any


class RingfenceError(Exception):
    """Base of every expected failure.

    `code` is stable and machine-readable (`policy.invalid`), `message` one line for a person that names
    the field, what was wrong and what would be right, `detail` anything JSON can carry.
    """

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.detail = detail or {}


class InvalidInputError(RingfenceError):
    """The caller sent something that cannot be accepted; nothing was changed."""

    code = "invalid"


class NotFoundError(RingfenceError):
    """The named thing does not exist."""

    code = "not_found"


class ConflictError(RingfenceError):
    """The thing changed meanwhile, or exists already."""

    code = "conflict"


class NotSignedInError(RingfenceError):
    """No credential, or one that is not valid (any more)."""

    code = "not_signed_in"


class ForbiddenError(RingfenceError):
    """A valid credential whose role does not allow this."""

    code = "forbidden"


class UnavailableError(RingfenceError):
    """Something this depends on (database, mediation, node) cannot be reached now; trying again may help."""

    code = "unavailable"


class FencedError(UnavailableError):
    """Another pair was made the active one: this one takes no work and changes nothing."""

    code = "unavailable.fenced"


class ConfigurationError(RingfenceError):
    """The configuration is wrong; fatal at start."""

    code = "configuration"
