"""What would change: decisions before and after, counted. Pure; the middle of simulation.

    calls, decisions before, decisions after ─► Difference.add, batch by batch ─► report()

Columnar: a call is never a Python object, but for the few that are kept as samples. Memory is bounded: numbers are
counted exactly up to MAX_NUMBERS of them, then the rarest are forgotten (`is_approximate`).
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ringfence.vocabulary import Action, NumberClass

# Ways in which a call changes, by their number here; 0 is "as before".
KINDS = ("same", "newly_blocked", "newly_redirected", "changed_target", "newly_allowed")
SAMPLES = 20  # of each kind, the newest
TOP = 10
MAX_NUMBERS = 200_000
_PENDING = 1_000_000  # distinct (number, kind) pairs collected before they are added up

Column: TypeAlias = "pa.Array[Any]"
compute: Any = pc  # the stubs know fewer argument types than the functions take

_TERMINATE, _REDIRECT = (pa.scalar(int(action), pa.int16()) for action in (Action.TERMINATE, Action.REDIRECT))
_KIND_NUMBERS = [pa.scalar(number, pa.int64()) for number in range(len(KINDS))]
_FOUR, _EIGHT, _SIXTEEN, _BUCKET_SHIFT = (pa.scalar(value, pa.int64()) for value in (4, 8, 16, 1024))
# Calls come in any order; these tell the newest, and of those of one time always the same.
_CALL_ORDER = ("time", "device_id", "stream_id", "sequence")
_SAMPLE_COLUMNS = (
    "time", "device_id", "source", "destination", "source_class", "destination_class", "source_raw", "destination_raw",
    "direction", "stream_id", "sequence", "policy_version",
)  # fmt: skip


class Difference:
    """Counts how decisions change over any number of batches."""

    def __init__(self, bucket_us: int) -> None:
        self.calls = 0
        self._bucket_us = bucket_us
        self._bucket = pa.scalar(bucket_us, pa.int64())
        self._cells: Counter[int] = Counter()  # bucket × 1024 + kind × 16 + after × 4 + before → calls
        self._rules: dict[str, Counter[int]] = {"before": Counter(), "after": Counter(), "monitored": Counter()}
        self._changed_rules: Counter[tuple[str, int, int]] = Counter()
        self._versions: Counter[int] = Counter()
        self._numbers = {"source": _Numbers(), "destination": _Numbers()}
        self._samples: dict[int, pa.Table] = {}

    def add(self, calls: pa.RecordBatch, before: pa.RecordBatch, after: pa.RecordBatch) -> None:
        """Add a batch of recorded calls with what was, and what would be decided, row for row."""
        self.calls += calls.num_rows
        was, would = before.column("action"), after.column("action")
        kind = _kind(was, would, before.column("target"), after.column("target"))
        bucket = compute.divide(calls.column("time").cast(pa.int64()), self._bucket)
        cell = compute.add(
            compute.add(compute.multiply(bucket, _BUCKET_SHIFT), compute.multiply(kind, _SIXTEEN)),
            compute.add(compute.multiply(would.cast(pa.int64()), _FOUR), was.cast(pa.int64())),
        )
        _count(self._cells, cell)
        _count(self._rules["before"], before.column("rule_id"))
        _count(self._rules["after"], after.column("rule_id"))
        _count(self._rules["monitored"], compute.list_flatten(after.column("monitored")))
        _count(self._versions, calls.column("policy_version"))
        is_changed = compute.greater(kind, _KIND_NUMBERS[0])
        if compute.any(is_changed).as_py():
            self._add_changed(calls, before, after, kind, is_changed)

    def _add_changed(
        self, calls: pa.RecordBatch, before: pa.RecordBatch, after: pa.RecordBatch, kind: Column, is_changed: Column
    ) -> None:
        places = compute.indices_nonzero(is_changed)
        kinds = kind.take(places)
        for side in ("source", "destination"):
            number = calls.column(side).take(places)
            number_class = calls.column(f"{side}_class").take(places).cast(pa.int64())
            # What is no number is told apart by its class: negative.
            key = compute.if_else(compute.equal(number, _KIND_NUMBERS[0]), compute.negate(number_class), number)
            self._numbers[side].add(compute.add(compute.multiply(key, _EIGHT), kinds))
        for when, decisions in (("before", before), ("after", after)):
            rules = decisions.column("rule_id").take(places).cast(pa.int64())
            pairs: Counter[int] = Counter()
            _count(pairs, compute.add(compute.multiply(rules, _EIGHT), kinds))
            for pair, calls_of_pair in pairs.items():
                self._changed_rules[when, pair // 8, pair % 8] += calls_of_pair
        for number_of_kind in compute.unique(kinds).to_pylist():
            of_kind = compute.equal(kinds, _KIND_NUMBERS[number_of_kind])
            rows = places.filter(of_kind)
            asked = pa.table([calls.column(name).take(rows) for name in _CALL_ORDER], list(_CALL_ORDER))
            kept = _sample(calls, before, after, rows.take(_newest(asked)))
            known = self._samples.get(number_of_kind)
            both = pa.concat_tables([known, kept]) if known is not None else kept
            self._samples[number_of_kind] = both.take(_newest(both))

    def kinds(self) -> dict[str, int]:
        """Calls of each kind of change."""
        found = dict.fromkeys(KINDS[1:], 0)
        for cell, calls in self._cells.items():
            if number := cell % 1024 // 16:
                found[KINDS[number]] += calls
        return found

    def versions(self) -> dict[int, int]:
        """Calls by the version that decided them then; 0: none did."""
        return dict(sorted(self._versions.items()))

    def over_time(self) -> dict[str, Any]:
        """Stacks for a chart: for each bucket the calls by action before and after, and by kind of change."""
        buckets = sorted({cell // 1024 for cell in self._cells})
        place = {bucket: index for index, bucket in enumerate(buckets)}
        words = [action.word for action in Action]
        stacks = {when: {word: [0] * len(buckets) for word in words} for when in ("before", "after")}
        changes = {word: [0] * len(buckets) for word in KINDS[1:]}
        for cell, calls in self._cells.items():
            at, rest = place[cell // 1024], cell % 1024
            stacks["before"][words[rest % 4]][at] += calls
            stacks["after"][words[rest // 4 % 4]][at] += calls
            if rest // 16:
                changes[KINDS[rest // 16]][at] += calls
        starts = [datetime.fromtimestamp(bucket * self._bucket_us / 1e6, UTC).isoformat() for bucket in buckets]
        return {"bucket_s": self._bucket_us // 1_000_000, "buckets": starts, **stacks, "changes": changes}

    def rules(self) -> dict[int, dict[str, int]]:
        """By rule id: calls it decided before and would decide, monitored matches, and the changes it is part of."""
        ids = sorted(set().union(*self._rules.values()) - {0})
        found = {rule: {when: counted[rule] for when, counted in self._rules.items()} for rule in ids}
        for (when, rule, kind), calls in self._changed_rules.items():
            if rule:
                # A call that is newly allowed is so for the rule that blocked it no more.
                part = found[rule]
                of_this = when == ("before" if KINDS[kind] == "newly_allowed" else "after")
                if of_this:
                    part[KINDS[kind]] = part.get(KINDS[kind], 0) + calls
        return found

    def top(self) -> dict[str, list[dict[str, Any]]]:
        """The sources and the destinations with most changed calls."""
        return {side: numbers.top() for side, numbers in self._numbers.items()}

    @property
    def is_approximate(self) -> bool:
        """Whether there were too many numbers to count each."""
        return any(numbers.is_approximate for numbers in self._numbers.values())

    def samples(self) -> dict[str, list[dict[str, Any]]]:
        """The newest calls of each kind of change, newest first, as plain values of their columns."""
        return {KINDS[number]: table.to_pylist() for number, table in sorted(self._samples.items())}


class _Numbers:
    """Counts numbers by kind of change; key × 8 + kind."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._pending = 0
        self.is_approximate = False

    def add(self, keys: Column) -> None:
        counted = compute.value_counts(keys)
        self._parts.append(pa.table({"key": counted.field("values"), "calls": counted.field("counts")}))
        self._pending += len(counted)
        if self._pending > _PENDING:
            self._add_up()

    def top(self) -> list[dict[str, Any]]:
        if not self._parts:
            return []
        table = self._add_up()
        number = compute.shift_right(table["key"], pa.scalar(3, pa.int64()))
        totals = pa.table({"number": number, "calls": table["calls"]}).group_by("number").aggregate([("calls", "sum")])
        best = totals.sort_by([("calls_sum", "descending"), ("number", "ascending")]).slice(0, TOP).to_pylist()
        found = {}
        for row in best:
            key = row["number"]
            shown = f"+{key}" if key > 0 else NumberClass.word_of(-key)
            found[key] = {"number": shown, "calls": row["calls_sum"], **dict.fromkeys(KINDS[1:], 0)}
        chosen = table.filter(compute.is_in(number, value_set=pa.array(list(found), pa.int64())))
        for row in chosen.to_pylist():
            found[row["key"] >> 3][KINDS[row["key"] & 7]] += row["calls"]
        return list(found.values())

    def _add_up(self) -> pa.Table:
        added = pa.concat_tables(self._parts).group_by("key").aggregate([("calls", "sum")])
        table = added.rename_columns(["key", "calls"])
        if table.num_rows > MAX_NUMBERS:
            table = table.sort_by([("calls", "descending")]).slice(0, MAX_NUMBERS)
            self.is_approximate = True
        self._parts, self._pending = [table], 0
        return table


def _kind(was: Column, would: Column, target_was: Column, target_would: Column) -> Column:
    """The kind of change of each call. "No opinion" and "allow" are the same to a call: it goes on."""
    was_terminate, was_redirect = compute.equal(was, _TERMINATE), compute.equal(was, _REDIRECT)
    terminates, redirects = compute.equal(would, _TERMINATE), compute.equal(would, _REDIRECT)
    is_other_target = compute.not_equal(target_was, target_would)
    same, blocked, redirected, changed_target, allowed = _KIND_NUMBERS
    of_redirect = compute.if_else(was_redirect, compute.if_else(is_other_target, changed_target, same), redirected)
    of_allow = compute.if_else(compute.or_(was_terminate, was_redirect), allowed, same)
    of_terminate = compute.if_else(was_terminate, same, blocked)
    found: Column = compute.if_else(terminates, of_terminate, compute.if_else(redirects, of_redirect, of_allow))
    return found


def _count(counter: Counter[int], values: Column) -> None:
    counted = compute.value_counts(values)
    for value, calls in zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True):
        counter[value] += calls


def _newest(calls: pa.Table) -> Column:
    """Places of the newest calls, newest first."""
    newest_first = [(name, "descending") for name in _CALL_ORDER]
    found: Column = compute.select_k_unstable(calls, min(SAMPLES, calls.num_rows), sort_keys=newest_first)
    return found


def _sample(calls: pa.RecordBatch, before: pa.RecordBatch, after: pa.RecordBatch, places: Column) -> pa.Table:
    columns = {name: calls.column(name).take(places) for name in _SAMPLE_COLUMNS}
    for when, decisions in (("before", before), ("after", after)):
        for name in ("action", "rule_id", "target"):
            columns[f"{when}_{name}"] = decisions.column(name).take(places)
    return pa.table(columns)
