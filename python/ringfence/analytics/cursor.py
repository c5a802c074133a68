"""A place between two calls of the call log, and the name of one call, as text that travels through API and console."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cursor:
    """A place between two calls: the page before ended with this one."""

    time: datetime
    stream: int
    sequence: int

    def __str__(self) -> str:
        microseconds = (self.time - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(f"{microseconds}.{self.stream}.{self.sequence}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that `str` wrote; InvalidInputError for anything else."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
            microseconds, stream, sequence = (int(part) for part in plain.split("."))
            if not (0 <= stream < 1 << 31 and 0 <= sequence < 1 << 63):
                raise ValueError("out of range")
            return cls(_EPOCH + timedelta(microseconds=microseconds), stream, sequence)
        except (binascii.Error, ValueError, OverflowError):
            raise InvalidInputError("before: is not a cursor that a page of calls gave") from None


def call_name(dataset: Dataset, cursor: Cursor) -> str:
    """What names one call for good, in addresses and in the API (`id`)."""
    return f"{dataset.word}-{cursor}"


def parse_call_name(text: str) -> tuple[Dataset, Cursor]:
    """The call that `call_name` named; InvalidInputError for anything else."""
    word, _, rest = text.partition("-")
    if word not in [dataset.word for dataset in Dataset]:
        raise InvalidInputError(f"id: {text!r} names no call; use the `id` that a call has")
    try:
        return Dataset[word.upper()], Cursor.parse(rest)
    except InvalidInputError:
        raise InvalidInputError(f"id: {text!r} names no call; use the `id` that a call has") from None
