"""The words that SQL, API, CLI, log and console share, with the numbers that travel in events.

The numbers are part of the event schema (`crates/events`) and of stored rows: never renumber.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class _Word(IntEnum):
    @property
    def word(self) -> str:
        """The word people see: lower case, underscores."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> _Word:
        """The member for a word; KeyError when there is none."""
        return cls[word.upper()]

    @classmethod
    def word_of(cls, number: int) -> str:
        """The word for a stored number; the number itself when a newer release wrote one that has no word here."""
        try:
            return cls(number).word
        except ValueError:
            return str(number)


class Dataset(_Word):
    """What a row is about."""

    ENUM = 1
    SIP = 2


class Action(_Word):
    """What a decision does with the call; NONE is "no opinion"."""

    NONE = 0
    ALLOW = 1
    TERMINATE = 2
    REDIRECT = 3


class Direction(_Word):
    """Call direction as seen from the site's own number ranges."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2
    INTERNAL = 3
    TRANSIT = 4


class NumberClass(_Word):
    """What a source or destination turned out to be."""

    ABSENT = 0
    NUMBER = 1
    EXTENSION = 2
    ANONYMOUS = 3
    INVALID = 4
    EMERGENCY = 5
    SHORT_CODE = 6


class LineType(_Word):
    """What a number's range is for, by its country's numbering plan."""

    UNKNOWN = 0
    FIXED = 1
    MOBILE = 2
    FIXED_OR_MOBILE = 3
    TOLL_FREE = 4
    PREMIUM = 5
    SHARED_COST = 6
    VOIP = 7
    PERSONAL = 8
    PAGER = 9
    UNIVERSAL = 10
    VOICEMAIL = 11


class CallType(_Word):
    """What kind of call one to a destination is, seen from the site."""

    UNKNOWN = 0
    INTERNAL = 1
    NATIONAL = 2
    MOBILE = 3
    INTERNATIONAL = 4
    TOLL_FREE = 5
    PREMIUM = 6
    SHARED_COST = 7
    SERVICE = 8
    EMERGENCY = 9


class Reason(_Word):
    """Why a decision came out as it did."""

    UNKNOWN = 0
    RULE = 1
    DEFAULT = 2
    PROTECTED = 3
    NO_POLICY = 4
    HEALTH_CHECK = 5
    NOT_A_NUMBER = 6


class CallResult(_Word):
    """How a SIP call came out (`crates/probe`)."""

    UNFINISHED = 0
    ANSWERED = 1
    BUSY = 2
    NO_ANSWER = 3
    CANCELLED = 4
    NOT_FOUND = 5
    REJECTED = 6
    REDIRECTED = 7
    UNAUTHORIZED = 8
    FAILED = 9


class CallSide(_Word):
    """One of the two sides of a call; NONE is "nobody, or not known"."""

    NONE = 0
    SOURCE = 1
    DESTINATION = 2


class TrunkSide(_Word):
    """Which end of a call's signalling is the trunk, by the probe's `trunk_networks`."""

    UNKNOWN = 0
    SOURCE = 1
    DESTINATION = 2
    BOTH = 3


class Transport(_Word):
    """How SIP messages travelled."""

    UDP = 0
    TCP = 1
    TLS = 2
    WS = 3
    WSS = 4
    SCTP = 5


class Attestation(_Word):
    """STIR/SHAKEN attestation (RFC 8588): what the originating carrier vouches for."""

    NONE = 0
    A = 1
    B = 2
    C = 3


class CallFlag(IntFlag):
    """What has to be known to read a record of a SIP call right."""

    START_MISSED = 1
    END_MISSED = 1 << 1
    EVICTED = 1 << 2
    TRUNCATED = 1 << 3
    CANCEL_LOST = 1 << 4
    EARLY_MEDIA = 1 << 5
    FAX = 1 << 6
    VIDEO = 1 << 7
    ENCRYPTED_MEDIA = 1 << 8
    ACK_MISSED = 1 << 9
    IN_PROGRESS = 1 << 10
    PROBE_LOST_PACKETS = 1 << 11
    TRANSFERRED = 1 << 12
    # Of the event, beside those of the record.
    ANONYMOUS = 1 << 24
    ONE_WAY = 1 << 25
    SILENT = 1 << 26

    @classmethod
    def words_of(cls, bits: int) -> tuple[str, ...]:
        """The words of the bits that are set and have one."""
        return tuple(flag.name.lower() for flag in cls if bits & flag and flag.name)


class Part(_Word):
    """A thing whose values calls are counted by (`part_hour`): what a whole falls into."""

    COUNTRY = 1
    CODE = 2
    RELEASED_BY = 3
    ATTESTATION = 4
    CODEC = 5
    LATENCY = 6
    RULE = 7
    MONITORED = 8


class EvidenceOutcome(_Word):
    """What a probe answers that is asked for the messages of a call."""

    MESSAGES = 1
    NOT_KEPT = 2
    DISABLED = 3
    UNREADABLE = 4


# Characters of a value that calls are counted by; a codec's name comes from the network.
MAX_VALUE = 64

# Upper bounds of the classes of decision time, nanoseconds; the last class is what took longer. Part of stored counts.
LATENCY_BOUNDS_NS = (
    1000, 1500, 2000, 3000, 4000, 5000, 7500, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 75_000, 100_000, 150_000,
    200_000, 300_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 100_000_000,
)  # fmt: skip


class SourceOrigin(_Word):
    """How the caller's number reached the ENUM server."""

    NONE = 0
    EDNS_BARE = 1
    EDNS_VERSIONED = 2
    QUERY_NAME = 3


class Role(_Word):
    """What a person or token may do; each role includes those below it. DEVICE stands apart."""

    DEVICE = 0
    VIEWER = 1
    ANALYST = 2
    EDITOR = 3
    ADMINISTRATOR = 4
