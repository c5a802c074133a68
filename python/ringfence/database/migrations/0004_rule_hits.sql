-- How often and when last each rule decided a call (hits), or would have in monitor mode (monitored). Written in the
-- ingest transaction, so exactly as often as there are events; late ones are added where they belong.
CREATE TABLE rule_minute (
    minute      timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,               -- of the newest call
    hits        bigint NOT NULL,
    monitored   bigint NOT NULL,
    rule_id     integer NOT NULL,
    device_id   smallint NOT NULL,
    PRIMARY KEY (device_id, rule_id, minute)
);

-- The same by hour: kept when the minutes are not any more.
CREATE TABLE rule_hour (
    hour        timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    hits        bigint NOT NULL,
    monitored   bigint NOT NULL,
    rule_id     integer NOT NULL,
    device_id   smallint NOT NULL,
    PRIMARY KEY (device_id, rule_id, hour)
);

-- What was ingested before there were these tables.
INSERT INTO rule_minute (minute, last_at, hits, monitored, rule_id, device_id)
SELECT date_trunc('minute', time), max(time), count(*) FILTER (WHERE decided), count(*) FILTER (WHERE NOT decided),
       rule_id, device_id
FROM (
    SELECT time, device_id, rule_id, true AS decided FROM enum_event WHERE rule_id <> 0
    UNION ALL
    SELECT time, device_id, unnest(monitored), false FROM enum_event WHERE monitored IS NOT NULL
) AS matched
GROUP BY device_id, rule_id, date_trunc('minute', time);

INSERT INTO rule_hour (hour, last_at, hits, monitored, rule_id, device_id)
SELECT date_trunc('hour', minute), max(last_at), sum(hits), sum(monitored), rule_id, device_id FROM rule_minute
GROUP BY device_id, rule_id, date_trunc('hour', minute);
