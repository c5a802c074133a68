"""Which rules can never decide a call, because an earlier one decides every call that they match. Pure.

Only what one earlier rule covers alone is found: no rule is called shadowed that is not. With an index by pattern, so
that ten thousand rules take no quadratic time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ringfence.policy.patterns import covers, numbers_of
from ringfence.policy.rules import Rule

_MOST_PAIRS = 250_000  # of matchers, for one pair of rules; beyond that only equal ones are compared


def shadowed_by(rules: Sequence[Rule]) -> dict[str, Rule]:
    """Name of each rule that never decides → the earlier rule that decides instead."""
    sources, destinations = _Index(), _Index()
    found: dict[str, Rule] = {}
    for place, rule in enumerate(rules):
        if rule.mode != "off":
            for candidate in sorted(sources.may_cover(rule.sources) & destinations.may_cover(rule.destinations)):
                if decides_all_of(rules[candidate], rule):
                    found[rule.name] = rules[candidate]
                    break
        if rule.mode == "enforce" and rule.schedule is None and rule.rate is None:
            sources.add(place, rule.sources)
            destinations.add(place, rule.destinations)
    return found


def decides_all_of(earlier: Rule, later: Rule) -> bool:
    """Whether an earlier rule decides every call that a later one matches."""
    return (
        earlier.mode == "enforce"
        and earlier.schedule is None
        and earlier.rate is None
        and earlier.direction in ("any", later.direction)
        and _holds(earlier.sites, later.sites)
        and _holds(earlier.devices, later.devices)
        and _all_covered(earlier.sources, later.sources)
        and _all_covered(earlier.destinations, later.destinations)
    )


def _holds(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _all_covered(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    if not wide:
        return True
    if not narrow:
        return False  # "any" also means callers without a number, which no pattern covers
    rest = set(narrow) - set(wide)
    if len(rest) * len(wide) > _MOST_PAIRS:
        return False
    return all(any(covers(one, matcher) for one in wide) for matcher in rest)


class _Index:
    """Places of rules by what may cover a matcher of theirs."""

    def __init__(self) -> None:
        self._anything: set[int] = set()
        self._same: defaultdict[str, set[int]] = defaultdict(set)
        self._beginnings: defaultdict[str, set[int]] = defaultdict(set)
        self._others: set[int] = set()  # ranges and wildcards

    def add(self, place: int, matchers: Sequence[str]) -> None:
        """A rule that decides what these match."""
        if not matchers:
            self._anything.add(place)
        for matcher in matchers:
            numbers = numbers_of(matcher)
            self._same[matcher].add(place)
            if numbers is None:
                continue
            if numbers.length is None:
                self._beginnings[numbers.low].add(place)
            elif numbers.low != numbers.high:
                self._others.add(place)
            else:
                self._same[numbers.low].add(place)  # one number, however it was written

    def may_cover(self, matchers: Sequence[str]) -> set[int]:
        """Places of the rules that may cover all of them: those that cover the first, and a few more."""
        if not matchers:
            return set(self._anything)
        return self._anything.union(*self._sets_for(matchers[0]))

    def _sets_for(self, matcher: str) -> Iterator[set[int]]:
        yield self._same.get(matcher, set())
        numbers = numbers_of(matcher)
        if numbers is None:
            return
        yield self._others
        if numbers.low == numbers.high:
            yield self._same.get(numbers.low, set())
        beginning = numbers.beginning
        for length in range(len(beginning) + 1):
            yield self._beginnings.get(beginning[:length], set())
