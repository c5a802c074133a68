"""Numbers that callers show and call, drawn from a seeded source of chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

# Area codes of large cities, all assigned.
AREAS = ("202", "206", "212", "213", "214", "303", "305", "312", "404", "415", "503", "512", "602", "617", "619", "702",
         "713", "718", "801", "816", "901", "913", "916", "919")  # fmt: skip
# Where premium numbers lie that fraud prefers: country code and what follows it.
PREMIUM_RANGES = ("+37190", "+23279", "+25270", "+88213", "+88216", "+22505", "+67570", "+5399")
# Countries that one-ring calls come from.
ONE_RING_RANGES = ("+22577", "+23276", "+25261", "+67571", "+21650", "+37128")
# Caribbean countries with North American area codes: they look like long distance and cost like abroad.
CARIBBEAN = ("+1876", "+1809", "+1473", "+1268", "+1284", "+1649")

# Numbers of agencies that only ever receive calls.
INBOUND_ONLY = ("+18005550199", "+18885550199")


def north_american(randomness: Random, area: str | None = None) -> str:
    """A number of a city; 555 exchanges belong to nobody."""
    return f"+1{area or randomness.choice(AREAS)}555{randomness.randrange(10_000):04d}"


def rotating(randomness: Random, count: int) -> Sequence[str]:
    """`count` different callers' numbers (at most 240,000)."""
    picked = randomness.sample(range(len(AREAS) * 10_000), count)
    return [f"+1{AREAS[index // 10_000]}555{index % 10_000:04d}" for index in picked]


def abroad(randomness: Random, ranges: Sequence[str]) -> str:
    """A number in one of these ranges: North American ones have seven more digits, the others six."""
    prefix = randomness.choice(ranges)
    digits = 7 if prefix.startswith("+1") else 6
    return f"{prefix}{randomness.randrange(2 * 10 ** (digits - 1), 10**digits)}"


def invalid(randomness: Random) -> str:
    """A caller that shows no number: a name, too few or too many digits, a country code that begins with 0."""
    line = f"{randomness.randrange(10_000):04d}"
    return randomness.choice((f"+0{line}55501", f"+1202555{line}{line}{line}", "+12", f"caller{line}", "unassigned"))
