"""What speaks for or against listing a number: protected, own, allowed, released, and its share of usual calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from psycopg import Connection, sql

from ringfence.detection.calls import TABLES
from ringfence.detection.containment import Candidate, Side, Standing
from ringfence.detection.definition import Definition
from ringfence.detection.sql import pattern_sql
from ringfence.detection.surroundings import Surroundings
from ringfence.errors import NotFoundError
from ringfence.numbering.dial_plan import Site, dial_plan_of
from ringfence.policy import dynamic
from ringfence.policy.lists.entries import EntryFilter, find_entries, find_entry
from ringfence.policy.patterns import covers, meets
from ringfence.vocabulary import Dataset

_BEFORE = timedelta(hours=1)
_SHORTEST = 7  # digits of an E.164 number; fewer are dialled as they stand
# A person's release of an entry is respected for so long.
RELEASED_FOR = timedelta(hours=1)

_TOTALS = """
SELECT device_id, sum(calls)::bigint FROM call_minute
WHERE dataset = %s AND minute >= date_trunc('minute', %s::timestamptz) AND minute < %s GROUP BY device_id
"""


class Standings:
    """Answers for the candidates of one firing; what is the same for all is read once."""

    def __init__(
        self, connection: Connection, one: Definition, around: Surroundings, before: datetime, now: datetime
    ) -> None:
        """`before`: the start of the attack; shares are of the hour that ends there."""
        self._connection = connection
        self._definition = one
        self._around = around
        self._before = before
        self._now = now
        self._totals: dict[int, int] | None = None

    def of(self, candidate: Candidate) -> Standing:
        """What is known of a candidate."""
        contain = self._definition.contain
        pattern, side = candidate.pattern, candidate.side
        calls, share = self._share(pattern, side)
        return Standing(
            is_protected=is_protected(pattern, self._around),
            is_own=any(meets(own, pattern) for own in self._around.own_patterns),
            is_allowed=self._is_allowed(pattern, side),
            is_excepted=contain is not None and any(meets(one, pattern) for one in contain.never),
            is_released=self._is_released(candidate),
            is_listed=dynamic.find_entry(self._connection, candidate.list, pattern, self._now) is not None,
            calls=calls,
            share=share,
        )

    def _is_allowed(self, pattern: str, side: Side) -> bool:
        """Whether a rule that allows names it; a rule that allows whoever calls names nobody."""
        for rule in self._around.enforced_rules:
            matchers = rule.sources if side == "source" else rule.destinations
            if rule.action == "allow" and any(self._matches(matcher, pattern) for matcher in matchers):
                return True
        return False

    def _matches(self, matcher: str, pattern: str) -> bool:
        if not matcher.startswith("list:"):
            return matcher != "*" and meets(matcher, pattern)
        name = matcher.removeprefix("list:")
        declared = self._around.policy.lists.get(name)
        if declared is not None and any(meets(one, pattern) for one in declared.entries):
            return True
        if declared is not None and declared.dynamic:
            acting = dynamic.acting_entries(self._connection, name, self._now)
            return any(meets(entry.pattern, pattern) for entry in acting)
        try:
            return self._is_on_static(name, pattern)
        except NotFoundError:
            return False

    def _is_on_static(self, name: str, pattern: str) -> bool:
        if not pattern.endswith("*"):
            return bool(find_entries(self._connection, name, EntryFilter(number=pattern), limit=1).entries)
        stem = pattern.removesuffix("*")
        if find_entries(self._connection, name, EntryFilter(pattern=stem), limit=1).entries:
            return True
        wider = (f"{stem[:length]}*" for length in range(2, len(stem)))
        return any(find_entry(self._connection, name, one) is not None for one in wider)

    def _is_released(self, candidate: Candidate) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM detection_listing WHERE list = %s AND pattern = %s AND released_at > %s LIMIT 1",
            (candidate.list, candidate.pattern, self._now - RELEASED_FOR),
        ).fetchone()
        return row is not None

    def _share(self, pattern: str, side: Side) -> tuple[int, float]:
        """(calls with this number in the hour before, their largest share of a site's calls)."""
        dataset = self._definition.dataset
        query = sql.SQL(
            "SELECT device_id, count(*) FROM {} WHERE time >= {} AND time < {} AND {} GROUP BY device_id"
        ).format(
            sql.Identifier(TABLES[dataset]), sql.Literal(self._before - _BEFORE), sql.Literal(self._before),
            pattern_sql(side, [pattern]),
        )  # fmt: skip
        with_number: dict[int, int] = dict(self._connection.execute(query).fetchall())
        if not with_number:
            return 0, 0.0
        if self._totals is None:
            number = int(Dataset.from_word(dataset))
            period = (number, self._before - _BEFORE, self._before)
            self._totals = dict(self._connection.execute(_TOTALS, period).fetchall())
        shares = []
        for site in {device.site for device in self._around.devices}:
            ids = self._around.devices_at((site,))
            calls = sum(with_number.get(device, 0) for device in ids)
            total = max(sum(self._totals.get(device, 0) for device in ids), calls)
            shares.append(calls / total if total else 0.0)
        return sum(with_number.values()), max(shares, default=0.0)


def is_protected(pattern: str, around: Surroundings) -> bool:
    """Whether a pattern may hold an emergency number of any site's country, or what the policy protects."""
    return any(_meets_protected(pattern, number) for number in _protected(around.sites, around.policy.protected))


def _protected(sites: Sequence[Site], of_policy: Iterable[str]) -> set[str]:
    """Digits, as dialled and with the country's code before them."""
    found = {number.removeprefix("+") for number in of_policy}
    for site in sites:
        plan = dial_plan_of(site.country)
        found |= set(plan.emergency) | {plan.country_code + number for number in (*plan.emergency, *of_policy)}
    return found


def _meets_protected(pattern: str, digits: str) -> bool:
    if pattern.removeprefix("+") == digits:
        return True
    return len(digits) >= _SHORTEST and covers(pattern, f"+{digits}")
