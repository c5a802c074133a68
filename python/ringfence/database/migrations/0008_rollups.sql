-- What analytics reads instead of calls. Ingest writes these in the transaction of the calls, so they always agree; late
-- batches are added where they belong. Every key holds device_id. Words are those of ringfence.vocabulary.

-- Figures that add up, by everything that most questions split or filter by. A quarter of an hour serves every time zone;
-- hours serve long periods. outcome: the action of an ENUM query, the result of a SIP call. NULL: a figure of the other dataset.
CREATE TABLE call_quarter (
    quarter         timestamptz NOT NULL,
    calls           bigint NOT NULL,
    latency_ns      bigint,
    latency_ns_max  bigint,
    reached         bigint,
    try_again       bigint,
    ineffective     bigint,
    effective       bigint,
    answered        bigint,
    duration_ms     bigint,
    pdd_calls       bigint,
    pdd_ms          bigint,
    pdd_ms_max      bigint,
    streams         bigint,
    mos_100         bigint,
    poor            bigint,
    packets         bigint,
    lost            bigint,
    total_ms_max    bigint,
    device_id       smallint NOT NULL,
    dataset         smallint NOT NULL,
    direction       smallint NOT NULL,
    outcome         smallint NOT NULL,
    call_type       smallint NOT NULL,
    PRIMARY KEY (dataset, quarter, device_id, direction, outcome, call_type)
);
CREATE TABLE call_hour (LIKE call_quarter);
ALTER TABLE call_hour RENAME COLUMN quarter TO hour;
ALTER TABLE call_hour ADD PRIMARY KEY (dataset, hour, device_id, direction, outcome, call_type);

-- Calls by the value of one thing (part: ringfence.analytics.parts), split by direction.
CREATE TABLE part_quarter (
    quarter     timestamptz NOT NULL,
    calls       bigint NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    part        smallint NOT NULL,
    direction   smallint NOT NULL,
    value       text COLLATE "C" NOT NULL,
    PRIMARY KEY (dataset, part, quarter, device_id, direction, value)
);
CREATE TABLE part_hour (LIKE part_quarter);
ALTER TABLE part_hour RENAME COLUMN quarter TO hour;
ALTER TABLE part_hour ADD PRIMARY KEY (dataset, part, hour, device_id, direction, value);

-- Calls of each second of a minute, sixty of them; peak is the highest.
CREATE TABLE call_second (
    minute      timestamptz NOT NULL,
    peak        integer NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    calls       integer[] NOT NULL,
    PRIMARY KEY (dataset, minute, device_id)
);

-- SIP calls in progress at the begin of each minute.
CREATE TABLE call_up (
    minute      timestamptz NOT NULL,
    calls       bigint NOT NULL,
    device_id   smallint NOT NULL,
    PRIMARY KEY (minute, device_id)
);

-- How many calls an hour has: what is made of a closed hour below is right exactly as long as it was made of as many.
CREATE TABLE hour_total (
    hour        timestamptz NOT NULL,
    calls       bigint NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    PRIMARY KEY (dataset, hour, device_id)
);

-- Made of closed hours by the leader; device_id 0 is all devices together. peaks: the busiest second of each minute.
CREATE TABLE hour_peak (
    hour        timestamptz NOT NULL,
    calls       bigint NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    peaks       integer[] NOT NULL,
    PRIMARY KEY (dataset, hour, device_id)
);
-- The most frequent numbers, in descending order: side 1 sources, 2 destinations, 3 pairs. Packed integers in this
-- machine's word order, little-endian: int64 numbers (a pair's destination in others), int32 counts. A number below
-- zero is text -1 - n of texts. most_left: the most calls that any number has which is not listed; 0 when all are.
CREATE TABLE hour_top (
    hour        timestamptz NOT NULL,
    calls       bigint NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    side        smallint NOT NULL,
    most_left   integer NOT NULL,
    numbers     bytea NOT NULL,
    others      bytea,
    counts      bytea NOT NULL,
    texts       text[] NOT NULL,
    PRIMARY KEY (dataset, side, hour, device_id)
);

-- Adds sixty counts to sixty.
CREATE FUNCTION add_counts(one integer[], other integer[]) RETURNS integer[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT array_agg(a + b ORDER BY place) FROM unnest(one, other) WITH ORDINALITY AS pair (a, b, place) $$;

CREATE FUNCTION highest(counts integer[]) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT max(count) FROM unnest(counts) AS count $$;

-- What was stored before. (The benches fill these tables from calls by what follows, too.)
INSERT INTO hour_total (hour, calls, device_id, dataset)
SELECT date_trunc('hour', minute, 'UTC'), sum(calls), device_id, dataset FROM call_minute GROUP BY 1, 3, 4;

INSERT INTO call_quarter (quarter, calls, latency_ns, latency_ns_max, device_id, dataset, direction, outcome, call_type)
SELECT date_bin('15 minutes', time, '1970-01-01Z'), count(*), sum(latency_ns::bigint), max(latency_ns), device_id, 1,
       direction, action, call_type
FROM enum_event GROUP BY 1, device_id, direction, action, call_type;

INSERT INTO call_quarter (quarter, calls, reached, try_again, ineffective, effective, answered, duration_ms, pdd_calls,
                          pdd_ms, pdd_ms_max, streams, mos_100, poor, packets, lost, total_ms_max, device_id, dataset,
                          direction, outcome, call_type)
SELECT date_bin('15 minutes', time, '1970-01-01Z'), count(*),
       count(*) FILTER (WHERE result = 1 OR status IN (480, 486, 600, 603)),
       count(*) FILTER (WHERE result <> 1 AND (status BETWEEN 300 AND 399 OR status IN (401, 402, 407))),
       count(*) FILTER (WHERE status IN (408, 500, 503, 504)),
       count(*) FILTER (WHERE result = 1 OR status IN (480, 486, 487, 600, 603, 607, 608)),
       count(*) FILTER (WHERE result = 1), sum(duration_ms::bigint) FILTER (WHERE result = 1),
       count(pdd_ms), sum(pdd_ms::bigint), max(pdd_ms), count(forward_mos_100) + count(backward_mos_100),
       coalesce(sum(forward_mos_100), 0) + coalesce(sum(backward_mos_100), 0),
       count(*) FILTER (WHERE forward_mos_100 < 360) + count(*) FILTER (WHERE backward_mos_100 < 360),
       coalesce(sum(forward_packets::bigint), 0) + coalesce(sum(backward_packets::bigint), 0),
       coalesce(sum(forward_lost::bigint), 0) + coalesce(sum(backward_lost::bigint), 0), max(total_ms), device_id, 2,
       direction, result, call_type
FROM sip_event GROUP BY 1, device_id, direction, result, call_type;

INSERT INTO call_hour (hour, calls, latency_ns, latency_ns_max, reached, try_again, ineffective, effective, answered,
                       duration_ms, pdd_calls, pdd_ms, pdd_ms_max, streams, mos_100, poor, packets, lost, total_ms_max,
                       device_id, dataset, direction, outcome, call_type)
SELECT date_trunc('hour', quarter, 'UTC'), sum(calls), sum(latency_ns), max(latency_ns_max), sum(reached),
       sum(try_again), sum(ineffective), sum(effective), sum(answered), sum(duration_ms), sum(pdd_calls), sum(pdd_ms),
       max(pdd_ms_max), sum(streams), sum(mos_100), sum(poor), sum(packets), sum(lost), max(total_ms_max), device_id,
       dataset, direction, outcome, call_type
FROM call_quarter GROUP BY 1, device_id, dataset, direction, outcome, call_type;

INSERT INTO part_quarter (quarter, calls, device_id, dataset, part, direction, value)
SELECT date_bin('15 minutes', time, '1970-01-01Z'), count(*), device_id, 1, part, direction, value
FROM enum_event, LATERAL (
    VALUES (1, country::text), (2, rcode::text),
           (6, width_bucket(latency_ns - 1, ARRAY[1000, 1500, 2000, 3000, 4000, 5000, 7500, 10000, 15000, 20000, 30000, 40000, 50000, 75000, 100000, 150000, 200000, 300000, 500000, 1000000, 2000000, 5000000, 10000000, 100000000])::text)
) AS told (part, value) GROUP BY 1, device_id, part, direction, value
UNION ALL
SELECT date_bin('15 minutes', time, '1970-01-01Z'), count(*), device_id, 1, 7, direction, rule_id::text
FROM enum_event WHERE rule_id <> 0 GROUP BY 1, device_id, direction, rule_id
UNION ALL
SELECT date_bin('15 minutes', time, '1970-01-01Z'), count(*), device_id, 1, 8, direction, rule::text
FROM enum_event, unnest(monitored) AS rule GROUP BY 1, device_id, direction, rule
UNION ALL
SELECT date_bin('15 minutes', time, '1970-01-01Z'), count(*), device_id, 2, part, direction, value
FROM sip_event, LATERAL (
    VALUES (1, country::text), (2, status::text), (3, released_by::text), (4, attestation::text),
           (5, left(coalesce(codec, ''), 64))
) AS told (part, value) GROUP BY 1, device_id, part, direction, value;

INSERT INTO part_hour (hour, calls, device_id, dataset, part, direction, value)
SELECT date_trunc('hour', quarter, 'UTC'), sum(calls), device_id, dataset, part, direction, value
FROM part_quarter GROUP BY 1, device_id, dataset, part, direction, value;

INSERT INTO call_second (minute, peak, device_id, dataset, calls)
SELECT minute, highest(calls), device_id, dataset, calls
FROM (
    SELECT minute, device_id, dataset, ARRAY(
        SELECT coalesce(counted, 0)::integer
        FROM generate_series(0, 59) AS place LEFT JOIN unnest(seconds, counts) AS found (second, counted)
             ON second = place ORDER BY place) AS calls
    FROM (
        SELECT date_trunc('minute', at) AS minute, device_id, dataset, array_agg(extract(second FROM at)::integer) AS seconds,
               array_agg(calls) AS counts
        FROM (
            SELECT date_trunc('second', time) AS at, device_id, 1 AS dataset, count(*) AS calls
            FROM enum_event GROUP BY 1, 2
            UNION ALL
            SELECT date_trunc('second', time), device_id, 2, count(*) FROM sip_event GROUP BY 1, 2
        ) AS by_second GROUP BY 1, 2, 3
    ) AS by_minute
) AS whole;

INSERT INTO call_up (minute, calls, device_id)
SELECT minute, count(*), device_id
FROM sip_event, generate_series(
    date_trunc('minute', time + interval '1 minute' - interval '1 microsecond'),
    time + total_ms * interval '1 ms' - interval '1 microsecond', interval '1 minute') AS minute
GROUP BY minute, device_id;
