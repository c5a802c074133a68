-- Alerts of detection: what was found, what people did about it, and the messages about it.

-- Each change of an alert takes the next number, under an advisory lock: who has seen a number has seen all before it.
CREATE SEQUENCE alert_change;

CREATE TABLE alert (
    alert_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change              bigint NOT NULL,
    is_system           boolean NOT NULL,               -- about the sending of alerts itself, not about calls
    detection           text NOT NULL,
    definition_version  integer NOT NULL,
    dataset             text NOT NULL,
    key                 jsonb NOT NULL,
    key_text            text NOT NULL,
    severity            smallint NOT NULL,              -- 1 info, 2 warning, 3 critical
    mode                text NOT NULL CHECK (mode IN ('report', 'contain')),
    state               text NOT NULL CHECK (state IN ('open', 'acknowledged', 'closed')),
    count               integer NOT NULL,               -- firings; while it goes on about one a second
    value               double precision NOT NULL,      -- of the newest firing
    peak                double precision NOT NULL,      -- the farthest from the threshold of all
    threshold           double precision NOT NULL,
    window_s            integer NOT NULL,
    started_at          timestamptz NOT NULL,           -- first call in the window that fired; times of calls
    first_at            timestamptz NOT NULL,           -- call that passed the threshold
    last_at             timestamptz NOT NULL,           -- the same of the newest firing
    opened_at           timestamptz NOT NULL,           -- times of the clock from here on
    seen_at             timestamptz NOT NULL,           -- newest firing
    closed_at           timestamptz,
    quiet_s             integer NOT NULL,               -- an episode ends so long after its last firing
    numbers             text[] NOT NULL,
    calls               jsonb NOT NULL,                 -- filter of the call log for the calls that it is about
    contained           jsonb NOT NULL,
    held_back           jsonb NOT NULL,
    note                text,                           -- of a system alert: what went wrong
    evidence            jsonb,                          -- kept with the alert: it outlives the calls
    evidence_due        timestamptz                     -- when to collect it (again)
);
CREATE INDEX alert_changes ON alert (change DESC);
CREATE INDEX alert_key ON alert (detection, key_text, alert_id DESC);
CREATE INDEX alert_unclosed ON alert (alert_id DESC) WHERE state <> 'closed';
CREATE INDEX alert_evidence_due ON alert (evidence_due) WHERE evidence_due IS NOT NULL;

CREATE TABLE alert_event (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('opened', 'contained', 'held_back', 'acknowledged', 'closed',
                                              'sent', 'unsure', 'given_up')),
    words       text NOT NULL
);
CREATE INDEX alert_event_of ON alert_event (alert_id, event_id);

CREATE TABLE alert_comment (
    comment_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    text        text NOT NULL
);
CREATE INDEX alert_comment_of ON alert_comment (alert_id, comment_id);

CREATE TABLE alert_channel (
    channel_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    kind             text NOT NULL CHECK (kind IN ('email', 'syslog', 'webhook', 'snmp')),
    minimum_severity smallint NOT NULL,
    detections       text[] NOT NULL,                   -- empty: all
    is_enabled       boolean NOT NULL,
    sends_closing    boolean NOT NULL,
    per_minute       integer NOT NULL,                  -- most messages a minute
    group_s          integer NOT NULL,                  -- further alerts of a detection within it are one message
    settings         jsonb NOT NULL,
    secrets          jsonb NOT NULL,                    -- read by sending alone, never shown, logged or exported
    set_at           timestamptz NOT NULL,
    failing_since    timestamptz,
    fault            text
);

-- A message is a claim as a report's run is: who counts its attempts up, and nobody else, makes that attempt.
CREATE TABLE alert_message (
    message_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id  integer NOT NULL REFERENCES alert_channel ON DELETE CASCADE,
    detection   text NOT NULL,                          -- '' when of several
    occasion    text NOT NULL CHECK (occasion IN ('opened', 'closed')),
    state       text NOT NULL CHECK (state IN ('claimed', 'sending', 'failed', 'sent', 'unsure', 'given_up')),
    attempts    integer NOT NULL,
    made_at     timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,                   -- of a failed one: the next attempt
    note        text
);
CREATE INDEX alert_message_of ON alert_message (channel_id, made_at DESC);
CREATE INDEX alert_message_open ON alert_message (channel_id) WHERE state IN ('claimed', 'sending', 'failed');

-- The outbox: written with the alert, in the same transaction.
CREATE TABLE alert_delivery (
    channel_id  integer NOT NULL REFERENCES alert_channel ON DELETE CASCADE,
    alert_id    bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
    occasion    text NOT NULL CHECK (occasion IN ('opened', 'closed')),
    made_at     timestamptz NOT NULL,
    message_id  bigint REFERENCES alert_message ON DELETE CASCADE,  -- with which it goes; null: it waits
    PRIMARY KEY (channel_id, alert_id, occasion)
);
CREATE INDEX alert_delivery_waiting ON alert_delivery (channel_id, made_at) WHERE message_id IS NULL;
CREATE INDEX alert_delivery_of ON alert_delivery (message_id);
