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
INSERT INTO hour_part (hour, calls, device_id, dataset, part, directions, texts, counts)
SELECT hour, now.calls, device_id, dataset, part,
       coalesce(array_agg(direction ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}'),
       coalesce(array_agg(value ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}'),
       coalesce(array_agg(found.calls ORDER BY value, direction) FILTER (WHERE value IS NOT NULL), '{}')
FROM (
    SELECT dataset, hour, coalesce(device_id, 0)::smallint AS device_id, sum(calls)::bigint AS calls FROM hour_total
    GROUP BY GROUPING SETS ((dataset, hour, device_id), (dataset, hour))
) AS now
CROSS JOIN generate_series(1, 8) AS part
LEFT JOIN (
    SELECT dataset, hour, coalesce(device_id, 0)::smallint AS device_id, part, direction, value,
           sum(calls)::bigint AS calls
    FROM part_hour
    GROUP BY GROUPING SETS ((dataset, hour, device_id, part, direction, value), (dataset, hour, part, direction, value))
) AS found USING (dataset, hour, device_id, part)
WHERE (dataset, hour) IN (
    SELECT dataset, hour FROM hour_peak AS closed WHERE closed.device_id = 0 AND closed.calls = (
        SELECT sum(calls) FROM hour_total AS total WHERE total.dataset = closed.dataset AND total.hour = closed.hour))
GROUP BY dataset, hour, device_id, part, now.calls;
