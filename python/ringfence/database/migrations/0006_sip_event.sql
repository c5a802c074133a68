-- Dataset SIP: one row per call that a probe saw. Columns by alignment; NULL where there was nothing (never answered, no
-- audio), raw text only where it says more than the number. Words are those of ringfence.vocabulary.

CREATE TABLE sip_event (
    time                timestamptz NOT NULL,       -- first message of the call
    source              bigint NOT NULL,            -- E.164 digits, 0: not a number
    destination         bigint NOT NULL,
    correlation         bigint NOT NULL,            -- the same for all legs of one call
    sequence            bigint NOT NULL,
    reported_time       timestamptz,                -- what the device said, where that could not be believed
    stream_id           integer NOT NULL,
    total_ms            integer NOT NULL,
    flags               integer NOT NULL,
    probe_lost          integer NOT NULL,           -- packets that the probe lost meanwhile
    pdd_ms              integer,                    -- INVITE to the first ringing or answer
    answer_ms           integer,                    -- INVITE to the answer
    duration_ms         integer,                    -- answer to the first BYE
    forward_packets     integer,                    -- audio from source to destination
    forward_lost        integer,
    forward_jitter_us   integer,
    backward_packets    integer,
    backward_lost       integer,
    backward_jitter_us  integer,
    source_port         integer NOT NULL,
    destination_port    integer NOT NULL,
    device_id           smallint NOT NULL,
    transport           smallint NOT NULL,
    side                smallint NOT NULL,
    direction           smallint NOT NULL,
    result              smallint NOT NULL,
    status              smallint NOT NULL,
    released_by         smallint NOT NULL,
    attestation         smallint NOT NULL,
    source_class        smallint NOT NULL,
    destination_class   smallint NOT NULL,
    cause_q850          smallint,
    forward_mos_100     smallint,
    backward_mos_100    smallint,
    source_address      text NOT NULL,
    destination_address text NOT NULL,
    call_id             text,
    source_raw          text,
    destination_raw     text,
    codec               text,
    user_agent          text,
    details             text                        -- JSON object of what else was seen
) PARTITION BY RANGE (time);

CREATE INDEX sip_event_time ON sip_event USING brin (time) WITH (autosummarize = on);
CREATE INDEX sip_event_arrival ON sip_event USING brin (stream_id, sequence) WITH (autosummarize = on);
CREATE INDEX sip_event_source ON sip_event (source, time);
CREATE INDEX sip_event_destination ON sip_event (destination, time);

COMMENT ON COLUMN call_minute.action IS 'outcome: the action of an ENUM query, the result of a SIP call';
