-- The first schema. Every table that grows with calls carries device_id, so that the same DDL can be
-- distributed later; event tables are partitioned by day and dropped, never deleted from.
-- Numbers (1 allow, 2 terminate ...) are those of ringfence.vocabulary.

CREATE TABLE setting (
    key         text PRIMARY KEY,
    value       jsonb NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE site (
    site_id     smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    country     text NOT NULL,
    own_ranges  text[] NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE account (
    account_id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    password_hash   text NOT NULL,
    role            smallint NOT NULL,
    must_change_password boolean NOT NULL DEFAULT false,
    failed_sign_ins integer NOT NULL DEFAULT 0,
    locked_until    timestamptz,
    disabled_at     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- Sessions of people and tokens of programs: only SHA-256 of the secret is kept.
CREATE TABLE credential (
    credential_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash     bytea NOT NULL UNIQUE,
    kind            text NOT NULL CHECK (kind IN ('session', 'token')),
    name            text NOT NULL,
    account_id      integer REFERENCES account,
    role            smallint NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_used_at    timestamptz,
    expires_at      timestamptz,
    revoked_at      timestamptz
);

CREATE TABLE device (
    device_id       smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    kind            text NOT NULL CHECK (kind IN ('enum', 'probe')),
    site_id         smallint NOT NULL REFERENCES site,
    credential_hash bytea NOT NULL UNIQUE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    revoked_at      timestamptz,
    wanted_version  integer,                        -- NULL: follow what is installed everywhere
    -- as last reported by the device
    last_seen_at    timestamptz,
    address         text,
    software        text,
    policy_version  integer,
    policy_hash     text,
    clock_offset_us bigint,
    report          jsonb NOT NULL DEFAULT '{}'     -- counters, journal state, listen addresses
);

-- One gap-free sequence per device, journal and data-plane thread; last_sequence is committed together
-- with the rows it covers: that is what makes ingest exactly-once.
CREATE TABLE device_stream (
    stream_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id       smallint NOT NULL REFERENCES device,
    journal_id      bigint NOT NULL,
    stream          smallint NOT NULL,
    last_sequence   bigint NOT NULL DEFAULT 0,
    lost            bigint NOT NULL DEFAULT 0,      -- events that the device's journal had dropped before they were sent
    UNIQUE (device_id, journal_id, stream)
);

-- A rule keeps its id for life: hit counts and old calls refer to it.
CREATE TABLE policy_rule (
    rule_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE policy_version (
    version     integer PRIMARY KEY,
    hash        text NOT NULL,                      -- SHA-256 of document, hex
    content_hash text NOT NULL UNIQUE,              -- of what it says, whatever its number: no two versions say the same
    document    bytea NOT NULL,                     -- exactly the bytes that edges compile
    source      jsonb NOT NULL,                     -- the policy as its author wrote it
    message     text NOT NULL DEFAULT '',
    author      text NOT NULL,
    dynamic_lists text[] NOT NULL DEFAULT '{}',     -- from source, so that nobody reads a million entries for it
    protected   text[] NOT NULL DEFAULT '{}',       -- likewise
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The version that acts everywhere (newest row wins); NULL: policy uninstalled.
CREATE TABLE policy_installation (
    installation_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version         integer REFERENCES policy_version,
    installed_by    text NOT NULL,
    installed_at    timestamptz NOT NULL DEFAULT now()
);

-- What operators and detections put on dynamic lists: acts beside the installed version until it is removed or ends.
CREATE TABLE dynamic_entry (
    list        text NOT NULL,
    pattern     text NOT NULL,                      -- in canonical form
    note        text NOT NULL DEFAULT '',
    origin      text NOT NULL,                      -- who or what added it: a person, a token, 'detection:NAME'
    added_at    timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,                        -- NULL: stays until it is removed
    PRIMARY KEY (list, pattern)
);
CREATE INDEX dynamic_entry_end ON dynamic_entry (expires_at) WHERE expires_at IS NOT NULL;

-- Which entries each change touched: an edge that has change N asks for those after it. Kept for a day.
CREATE TABLE dynamic_change (
    change      bigint NOT NULL,                    -- grows; microseconds of its time, so that a number is never used twice
    list        text NOT NULL,
    pattern     text NOT NULL,
    PRIMARY KEY (change, list, pattern)
);

CREATE TABLE audit (
    audit_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    actor       text NOT NULL,
    address     text,
    action      text NOT NULL,                      -- 'policy.apply', 'sign_in', 'device.add' ...
    subject     text NOT NULL DEFAULT '',
    detail      jsonb NOT NULL DEFAULT '{}'
);

-- Dataset ENUM: one row per query. Columns by alignment; raw text only where it says more than the number.
CREATE TABLE enum_event (
    time                timestamptz NOT NULL,
    source              bigint NOT NULL,            -- E.164 digits, 0: not a number
    destination         bigint NOT NULL,
    target              bigint NOT NULL,
    sequence            bigint NOT NULL,
    reported_time       timestamptz,                -- what the device said, where that could not be believed
    stream_id           integer NOT NULL,
    rule_id             integer NOT NULL,           -- 0: none
    policy_version      integer NOT NULL,
    latency_ns          integer NOT NULL,
    device_id           smallint NOT NULL,
    peer_port           integer NOT NULL,
    transport           smallint NOT NULL,
    direction           smallint NOT NULL,
    action              smallint NOT NULL,
    reason              smallint NOT NULL,
    rcode               smallint NOT NULL,
    source_class        smallint NOT NULL,
    destination_class   smallint NOT NULL,
    source_origin       smallint NOT NULL,
    peer                text NOT NULL,
    source_raw          text,
    destination_raw     text,
    monitored           integer[]
) PARTITION BY RANGE (time);

-- BRIN: next to free for ingest; summarised as pages fill, else queries would read everything since the last vacuum.
CREATE INDEX enum_event_time ON enum_event USING brin (time) WITH (autosummarize = on);
CREATE INDEX enum_event_arrival ON enum_event USING brin (stream_id, sequence) WITH (autosummarize = on);
CREATE INDEX enum_event_source ON enum_event (source, time);
CREATE INDEX enum_event_destination ON enum_event (destination, time);

-- Per minute, written in the ingest transaction. dataset: vocabulary.Dataset.
CREATE TABLE call_minute (
    minute      timestamptz NOT NULL,
    device_id   smallint NOT NULL,
    dataset     smallint NOT NULL,
    action      smallint NOT NULL,
    calls       bigint NOT NULL,
    PRIMARY KEY (device_id, dataset, minute, action)
);
