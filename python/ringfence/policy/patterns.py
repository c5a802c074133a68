"""Which numbers a pattern stands for, as far as telling whether one covers or meets another. Pure.

What a pattern means is the compiler's business (`crates/numbers`); here stands only how two of them relate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ringfence._native import canonical_pattern

_WIDTH = 15  # digits of the longest E.164 number


@dataclass(frozen=True)
class Numbers:
    """The numbers of one pattern: `low` to `high`, all of `length` digits, or (None) any with that beginning."""

    low: str
    high: str
    length: int | None
    wildcard: str = ""  # digits and '?', where the pattern is one

    @property
    def beginning(self) -> str:
        """The digits that all of them begin with."""
        same = 0
        while same < len(self.low) and self.low[same] == self.high[same]:
            same += 1
        return self.low[:same]


@lru_cache(maxsize=65_536)
def numbers_of(pattern: str) -> Numbers | None:
    """The numbers of a pattern; None when the text is none, or names a list or class."""
    if pattern.startswith(("list:", "class:")):
        return None
    try:
        text = canonical_pattern(pattern)
    except ValueError:
        return None
    if text.endswith("*"):
        digits = text.removesuffix("*").removeprefix("+")
        return Numbers(digits, digits, None)
    if "?" in text:
        shape = text.removeprefix("+")
        return Numbers(shape.replace("?", "0"), shape.replace("?", "9"), len(shape), shape)
    low, _, high = text.partition("-")
    digits = low.removeprefix("+")
    return Numbers(digits, high.removeprefix("+") or digits, len(digits))


def covers(wide: str, narrow: str) -> bool:
    """Whether every number of `narrow` is one of `wide`; lists and classes cover themselves. May miss some."""
    if wide == narrow:
        return True
    outer, inner = numbers_of(wide), numbers_of(narrow)
    if outer is None or inner is None:
        return False
    if outer.length is None:
        return inner.beginning.startswith(outer.low)
    if outer.length != inner.length:
        return False
    if outer.wildcard:
        shape = inner.wildcard or (inner.low if inner.low == inner.high else "")
        return bool(shape) and all(o in ("?", i) for o, i in zip(outer.wildcard, shape, strict=True))
    return outer.low <= inner.low and inner.high <= outer.high


def meets(one: str, other: str) -> bool:
    """Whether some number may be in both; for wildcards also where only their bounds meet."""
    first, second = numbers_of(one), numbers_of(other)
    if first is None or second is None:
        return one == other
    if first.length is not None and second.length is not None and first.length != second.length:
        return False
    low = max(first.low.ljust(_WIDTH, "0"), second.low.ljust(_WIDTH, "0"))
    return low <= min(first.high.ljust(_WIDTH, "9"), second.high.ljust(_WIDTH, "9"))
