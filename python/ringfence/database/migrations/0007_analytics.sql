-- What analytics asks by: what kind of call it was, and where the far party is (who calls in, or who is called).
-- call_type: vocabulary.CallType. country: numbering.countries. line: vocabulary.LineType, of the far party's number.
-- 0 is unknown, which is what calls have that were stored before there were these columns.
ALTER TABLE enum_event
    ADD COLUMN call_type smallint NOT NULL DEFAULT 0,
    ADD COLUMN country smallint NOT NULL DEFAULT 0,
    ADD COLUMN line smallint NOT NULL DEFAULT 0;
ALTER TABLE sip_event
    ADD COLUMN call_type smallint NOT NULL DEFAULT 0,
    ADD COLUMN country smallint NOT NULL DEFAULT 0,
    ADD COLUMN line smallint NOT NULL DEFAULT 0;

-- What devices said of themselves, by the minute of its arrival.
CREATE TABLE device_minute (
    minute          timestamptz NOT NULL,
    clock_offset_us bigint NOT NULL,                -- their clock minus ours: the largest, either way
    unsent          bigint NOT NULL,                -- events on their disk that we had not confirmed: the most
    lost            bigint NOT NULL,                -- events that they lost since the heartbeat before
    device_id       smallint NOT NULL,
    PRIMARY KEY (device_id, minute)
);
