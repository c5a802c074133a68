-- Calls by the value of one thing, packed, by device and of all devices together (device_id 0): made of closed hours by
-- the leader and believed as long as the hour has as many calls (0008_rollups.sql). A view over a month reads a row an
-- hour instead of a hundred or a thousand. directions, texts and counts are of one length: the direction, the value, and
-- the calls of both together.
CREATE TABLE hour_part (
    hour        timestamptz NOT NULL,
    calls       bigint NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    part        smallint NOT NULL,
    directions  smallint[] NOT NULL,
    texts       text[] NOT NULL,
    counts      bigint[] NOT NULL,
    PRIMARY KEY (dataset, part, hour, device_id)
);

-- Hours that are closed; those that have no value of a part have a row too, or they would be looked for again.
-- All devices together, then each: in one statement PostgreSQL would sort what is in order already.
INSERT INTO hour_part (hour, calls, device_id, dataset, part, directions, texts, counts)
SELECT hour, closed.calls, 0, dataset, part,
       coalesce(array_agg(direction ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}'),
       coalesce(array_agg(value ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}'),
       coalesce(array_agg(found.calls ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}')
FROM hour_peak AS closed
JOIN (SELECT dataset, hour, sum(calls) AS calls FROM hour_total GROUP BY dataset, hour) AS now
     USING (dataset, hour, calls)
CROSS JOIN generate_series(1, 8) AS part
LEFT JOIN (
    SELECT dataset, hour, part, direction, value, sum(calls)::bigint AS calls FROM part_hour
    GROUP BY dataset, hour, part, direction, value
) AS found USING (dataset, hour, part)
WHERE closed.device_id = 0 GROUP BY dataset, hour, part, closed.calls;

INSERT INTO hour_part (hour, calls, device_id, dataset, part, directions, texts, counts)
SELECT hour, hour_total.calls, device_id, dataset, part, coalesce(directions, '{}'), coalesce(texts, '{}'),
       coalesce(counts, '{}')
FROM hour_total
JOIN (SELECT DISTINCT dataset, hour FROM hour_part) AS closed USING (dataset, hour)
CROSS JOIN generate_series(1, 8) AS part
LEFT JOIN (
    SELECT dataset, hour, device_id, part, array_agg(direction ORDER BY value, direction) AS directions,
           array_agg(value ORDER BY value, direction) AS texts, array_agg(calls ORDER BY value, direction) AS counts
    FROM part_hour GROUP BY dataset, part, hour, device_id
) AS found USING (dataset, hour, device_id, part);
