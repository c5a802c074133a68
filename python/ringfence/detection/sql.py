"""The same definition as SQL over rows of calls: what is usual (baseline), and the oracle that windows are tested by.

Windows and SQL agree on every measure that is exact: same calls, same windows (later than `end - window`, up to and
with `end`), same values; `concurrency` on the first crossing of an episode.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import Connection, sql

from ringfence.detection.calls import MOMENT, TABLES
from ringfence.detection.compiled import intervals, schedule_of
from ringfence.detection.definition import NUMBER_KEYS, Definition, Duration, Party
from ringfence.detection.surroundings import Surroundings
from ringfence.policy.patterns import numbers_of
from ringfence.vocabulary import Action, CallResult, CallType, Direction, NumberClass, TrunkSide

_TRUE = sql.SQL("true")
_HOUR_S = 3600
_PART_S = 300
_WEEK = timedelta(weeks=1)
_ADDITIVE = ("count", "duration_total", "silence", "distinct", "adjacent")


def condition_sql(one: Definition, around: Surroundings, period: tuple[datetime, datetime]) -> sql.Composable:
    """The calls that count for a definition, as a condition on its dataset's table."""
    condition = one.condition
    parts: list[sql.Composable] = [
        _words("direction", [Direction.from_word(word) for word in condition.direction]),
        _words("call_type", [CallType.from_word(word) for word in condition.call_types]),
        _words("source_class", [NumberClass.from_word(word) for word in condition.source.classes]),
        _words("destination_class", [NumberClass.from_word(word) for word in condition.destination.classes]),
        *_party("source", condition.source, around),
        *_party("destination", condition.destination, around),
    ]
    if one.dataset == "enum":
        parts.append(_words("action", [Action.from_word(word) for word in condition.actions]))
    else:
        parts.append(_words("result", [CallResult.from_word(word) for word in condition.results]))
        parts.append(_words("side", [TrunkSide.from_word(word) for word in condition.trunk_side]))
    if condition.duration != Duration():
        least, most = condition.duration.min_ms or 0, condition.duration.max_ms
        parts.append(sql.SQL("duration_ms >= {}").format(least))
        if most is not None:
            parts.append(sql.SQL("duration_ms <= {}").format(most))
    if condition.foreign is not None:
        parts.append(_foreign(around, condition.foreign))
    if condition.same_prefix is not None:
        alike = sql.SQL("left(source::text, {digits}) = left(destination::text, {digits})")
        parts.append(sql.SQL("source > 0 AND destination > 0 AND source <> destination"))
        parts.append(alike.format(digits=condition.same_prefix))
    if one.sites:
        parts.append(sql.SQL("device_id = ANY({}::smallint[])").format(sql.Literal(around.devices_at(one.sites))))
    schedule = schedule_of(one, around)
    if schedule is not None:
        spans = intervals(schedule, period, outside=one.outside_schedule)
        parts.append(_within(MOMENT[one.dataset], spans))
    parts.extend(_counts(one))
    return sql.SQL(" AND ").join(part for part in parts if part != _TRUE) if any(p != _TRUE for p in parts) else _TRUE


def key_sql(one: Definition, around: Surroundings) -> tuple[sql.Composable, sql.Composable]:
    """The two values of a key, as columns; NULL: the call has none."""
    nothing = sql.SQL("0::bigint")
    number = "nullif({}, 0)"
    match one.key:
        case "source" | "destination":
            return sql.SQL(number.format(one.key)), nothing
        case "pair":
            return sql.SQL(number.format("source")), sql.SQL(number.format("destination"))
        case "source_prefix" | "destination_prefix":
            column = one.key.removesuffix("_prefix")
            prefix = sql.SQL("nullif(left({}::text, {})::bigint, 0)").format(sql.SQL(column), one.prefix_digits)
            return prefix, nothing
        case "country":
            return sql.SQL("nullif(country, 0)::bigint"), nothing
        case "site":
            pairs = [(device.device_id, around.site_number(device.site)) for device in around.devices]
            cases = [sql.SQL("WHEN {} THEN {}").format(device, site) for device, site in pairs]
            chosen = sql.SQL("CASE device_id {} END").format(sql.SQL(" ").join(cases)) if cases else sql.SQL("NULL")
            return sql.SQL("({})::bigint").format(chosen), nothing
        case "device":
            return sql.SQL("device_id::bigint"), nothing
        case _:
            return nothing, nothing


def measure_sql(one: Definition) -> sql.Composable:
    """The measure as an aggregate over rows `w` (columns of the table, `moment`)."""
    measure = one.measure
    match measure.kind, measure.of:
        case ("count" | "silence", _):
            return sql.SQL("count(*)::float8")
        case "rate", _:
            return sql.SQL("count(*)::float8 / {}").format(one.window_s)
        case "distinct", side:
            return sql.SQL("count(DISTINCT w.{})::float8").format(sql.Identifier(str(side)))
        case "duration_total", _:
            return sql.SQL("coalesce(sum(w.duration_ms), 0)::float8 / 1000")
        case "duration_mean", _:
            return sql.SQL("coalesce(sum(w.duration_ms), 0)::float8 / 1000 / count(w.duration_ms)")
        case "share", of:
            return sql.SQL("(count(*) FILTER (WHERE {}))::float8 / nullif(count(*), 0)").format(_hits(one, str(of)))
        case "adjacent", side:
            return sql.SQL(
                "(SELECT count(*)::float8 FROM (SELECT DISTINCT unnest(array_agg(w.{side})) AS n) AS one WHERE EXISTS"
                " (SELECT 1 FROM unnest(array_agg(w.{side})) AS other (n)"
                "  WHERE other.n <> one.n AND abs(other.n - one.n) <= {gap}))"
            ).format(side=sql.Identifier(str(side)), gap=measure.gap)
        case _:
            return sql.SQL(
                "(SELECT coalesce(max((SELECT count(*) FROM unnest(array_agg(w.time), array_agg(w.moment)) AS o (s, e)"
                " WHERE o.s <= p.at AND p.at < o.e)), 0)::float8 FROM unnest(array_agg(w.time)) AS p (at))"
            )


def crossings_sql(one: Definition, around: Surroundings, start: datetime, end: datetime) -> sql.Composed:
    """Every call at which a window is beyond the threshold, by key and time. Looks at each window anew: for tests."""
    first, second = key_sql(one, around)
    threshold = one.threshold
    return sql.SQL(
        """
        WITH counted AS MATERIALIZED (
            SELECT *, {moment} AS moment, {first} AS a, {second} AS b FROM {table} WHERE {condition}
        )
        SELECT e.a, e.b, e.moment, found.value FROM
            (SELECT DISTINCT a, b, moment FROM counted
             WHERE a IS NOT NULL AND b IS NOT NULL AND moment >= {start} AND moment < {end}) AS e
        CROSS JOIN LATERAL (
            SELECT {measure} AS value, count(*) AS calls FROM counted AS w
            WHERE w.a = e.a AND w.b = e.b AND w.moment > e.moment - {window} * interval '1 second'
              AND w.moment <= e.moment
        ) AS found
        WHERE found.calls >= {at_least} AND found.value {comparison} {value} ORDER BY e.a, e.b, e.moment
        """
    ).format(
        moment=sql.SQL(MOMENT[one.dataset]), first=first, second=second,
        table=sql.Identifier(TABLES[one.dataset]), condition=condition_sql(one, around, (start, end)),
        start=sql.Literal(start), end=sql.Literal(end), measure=measure_sql(one), window=one.window_s,
        at_least=max(threshold.at_least, 1), comparison=sql.SQL("<=" if threshold.below else ">="),
        value=sql.Literal(threshold.value),
    )  # fmt: skip


def usual(
    connection: Connection, one: Definition, around: Surroundings, key: tuple[int, int], at: datetime
) -> float | None:
    """The measure around the same time of past weeks, for one window, on average; None: no calls at all.

    Around it lies an hour for keys of numbers, five minutes for others, or the window where that is longer; what adds
    up is the window's share of it.
    """
    baseline = one.threshold.baseline
    weeks = baseline.weeks if baseline else 4
    # Numbers are found by index; of a whole site or device a part of the hour is enough.
    span = timedelta(seconds=max(_HOUR_S if one.key in NUMBER_KEYS else _PART_S, one.window_s))
    first, second = key_sql(one, around)
    values = []
    for week in range(1, weeks + 1):
        start = at - week * _WEEK - span / 2
        period = (start, start + span)
        query = sql.SQL(
            "SELECT {measure}, count(*) FROM (SELECT *, {moment} AS moment FROM {table} WHERE time >= {start}"
            " AND time < {end} AND {first} = {a} AND {second} = {b} AND {condition}) AS w"
        ).format(
            measure=measure_sql(one), moment=sql.SQL(MOMENT[one.dataset]), table=sql.Identifier(TABLES[one.dataset]),
            start=sql.Literal(period[0]), end=sql.Literal(period[1]), first=first, a=key[0], second=second, b=key[1],
            condition=condition_sql(one, around, period),
        )  # fmt: skip
        row = connection.execute(query).fetchone()
        values.append((float(row[0] or 0), int(row[1])) if row else (0.0, 0))
    if not any(calls for _, calls in values):
        return None
    if one.measure.kind in _ADDITIVE:
        return sum(value for value, _ in values) / weeks * (one.window_s / span.total_seconds())
    with_calls = [value for value, calls in values if calls]
    return sum(with_calls) / len(with_calls)


def pattern_sql(column: str, patterns: list[str]) -> sql.Composable:
    """Whether a number is under one of the patterns."""
    return sql.SQL("({})").format(sql.SQL(" OR ").join(_pattern(column, one) for one in patterns))


def _pattern(column: str, pattern: str) -> sql.Composable:
    numbers, name = numbers_of(pattern), sql.Identifier(column)
    if numbers is None:
        return sql.SQL("false")
    if numbers.length is None:
        return sql.SQL("({} > 0 AND {}::text LIKE {})").format(name, name, sql.Literal(f"{numbers.low}%"))
    if numbers.wildcard:
        return sql.SQL("{}::text LIKE {}").format(name, sql.Literal(numbers.wildcard.replace("?", "_")))
    return sql.SQL("{} BETWEEN {} AND {}").format(name, int(numbers.low), int(numbers.high))


def _party(column: str, party: Party, around: Surroundings) -> list[sql.Composable]:
    parts = []
    if party.patterns:
        parts.append(pattern_sql(column, list(party.patterns)))
    if party.except_:
        parts.append(sql.SQL("NOT {}").format(pattern_sql(column, list(party.except_))))
    if party.own is not None:
        own = pattern_sql(column, around.own_patterns) if around.own_patterns else sql.SQL("false")
        parts.append(own if party.own else sql.SQL("NOT {}").format(own))
    return parts


def _words(column: str, words: list[int]) -> sql.Composable:
    if not words:
        return _TRUE
    return sql.SQL("{} = ANY({}::smallint[])").format(
        sql.Identifier(column), sql.Literal([int(word) for word in words])
    )


def _foreign(around: Surroundings, is_foreign: bool) -> sql.Composable:
    homes = [(device.device_id, around.home_country(device)) for device in around.devices]
    cases = sql.SQL(" ").join(sql.SQL("WHEN {} THEN {}").format(device, home) for device, home in homes)
    home = sql.SQL("CASE device_id {} END").format(cases) if homes else sql.SQL("NULL::integer")
    comparison = sql.SQL("<>" if is_foreign else "=")
    return sql.SQL("(country <> 0 AND country {} {})").format(comparison, home)


def _within(moment: str, spans: list[tuple[int, int]]) -> sql.Composable:
    us = sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(sql.SQL(moment))
    exists = "EXISTS (SELECT 1 FROM unnest({}::bigint[], {}::bigint[]) AS s (f, t) WHERE {us} >= f AND {us} < t)"
    starts, ends = [span[0] for span in spans], [span[1] for span in spans]
    return sql.SQL(exists).format(sql.Literal(starts), sql.Literal(ends), us=us)


def _counts(one: Definition) -> list[sql.Composable]:
    """What a call must have for its measure; one without a duration is in no window of durations."""
    match one.measure.kind, one.measure.of:
        case (("duration_total" | "duration_mean"), _):
            return [sql.SQL("duration_ms IS NOT NULL")]
        case (("distinct" | "adjacent"), side):
            return [sql.SQL("{} > 0").format(sql.Identifier(str(side)))]
        case "share", "short":
            return [sql.SQL("result = {} AND duration_ms IS NOT NULL").format(int(CallResult.ANSWERED))]
        case _:
            return []


def _hits(one: Definition, of: str) -> sql.Composable:
    if of == "short":
        return sql.SQL("w.duration_ms <= {}").format(one.measure.short_ms)
    if of == "terminated":
        return sql.SQL("w.action = {}").format(int(Action.TERMINATE))
    if of == "answered":
        return sql.SQL("w.result = {}").format(int(CallResult.ANSWERED))
    unanswered = [int(one) for one in (CallResult.BUSY, CallResult.NO_ANSWER, CallResult.CANCELLED)]
    return sql.SQL("w.result = ANY({}::smallint[])").format(sql.Literal(unanswered))
