"""What happens in one run of the campaign: drawn from its seed alone, the same on every machine. Pure.

kill      kill -9; started again after `seconds`, as systemd does
pause     SIGSTOP for `seconds`
cut       the network between two of them for `seconds`: dark (nothing is delivered, no reset), refused, or slow
fill      the disk is full for `seconds`
step      the clock jumps by `how` seconds, and back after `seconds`
failover  `ringfence failover` on the standby; the active's site was lost a moment before, or is reached
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SERVERS = ("enum-1", "enum-2", "enum-3")
# What runs at the site of the active pair: `node` is the supervisor, `ringfence up`.
SITE = ("mediation", "database", "node")
ACTIVE = "active"
STANDBY = "standby"
KINDS = ("kill", "pause", "cut", "fill", "step", "failover")
# Faults begin within this time, and those that are healed last at most so long.
BEGIN_S = 6.0
LONGEST_S = 4.0
STEPS_S = (40, -40, 3600, -3600, 86_400, -86_400)
# One run in so many has a failover: it costs as much as all else in it.
RUNS_A_FAILOVER = 5


@dataclass(frozen=True, order=True)
class Fault:
    """One fault; times in seconds from the run's begin."""

    at_s: float
    kind: str
    target: str
    seconds: float
    how: str = ""

    def __str__(self) -> str:
        words = {"failover": "failover to", "step": "step the clock of"}.get(self.kind, self.kind)
        lasts = f" for {self.seconds:.1f} s" if self.kind != "failover" else ""
        return f"{self.at_s:.1f} s {words} {self.target}{f' ({self.how})' if self.how else ''}{lasts}"


def draw(seed: int) -> tuple[Fault, ...]:
    """The faults of a seed, in order of time; they may overlap."""
    random = Random(seed)
    faults = [_fault(random) for _ in range(random.randint(3, 6))]
    if random.randrange(RUNS_A_FAILOVER) == 0:
        site = random.choice(("site lost", "site lost", "site reached"))
        faults.append(Fault(_time(random), "failover", STANDBY, 0, site))
    return tuple(sorted(faults))


def in_words(faults: tuple[Fault, ...]) -> str:
    """On one line."""
    return "; ".join(map(str, faults))


def _fault(random: Random) -> Fault:
    kind = random.choice(("kill", "pause", "cut", "fill", "step"))
    at_s, seconds = _time(random), round(random.uniform(0.2, LONGEST_S), 1)
    if kind in ("kill", "pause"):
        return Fault(at_s, kind, random.choice((*SERVERS, *SITE)), seconds)
    if kind == "cut":
        return Fault(
            at_s, kind, random.choice((*SERVERS, ACTIVE, STANDBY)), seconds, random.choice(("dark", "refused", "slow"))
        )
    target = random.choice((*SERVERS, ACTIVE))
    return Fault(at_s, kind, target, seconds, f"{random.choice(STEPS_S):+d} s" if kind == "step" else "")


def _time(random: Random) -> float:
    return round(random.uniform(0.3, BEGIN_S), 1)
