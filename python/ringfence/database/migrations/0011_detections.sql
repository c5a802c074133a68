-- Detections: definitions by version, which are deployed, how far the watcher has read, what fired, what was contained.

CREATE TABLE detection_version (
    name        text NOT NULL,
    version     integer NOT NULL,
    definition  jsonb NOT NULL,                     -- as its author wrote it
    author      text NOT NULL,
    message     text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE detection_deployment (
    name        text PRIMARY KEY,
    version     integer NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('report', 'contain')),
    deployed_at timestamptz NOT NULL,
    deployed_by text NOT NULL,
    FOREIGN KEY (name, version) REFERENCES detection_version
);

-- One row: whether anything may be contained.
CREATE TABLE detection_control (
    is_only     boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    is_stopped  boolean NOT NULL DEFAULT false,
    reason      text NOT NULL DEFAULT '',
    changed_by  text NOT NULL DEFAULT '',
    changed_at  timestamptz
);
INSERT INTO detection_control DEFAULT VALUES;

-- Up to where, and until when, the watcher has applied what each stream brought; it may lag behind, for episodes are
-- found again.
CREATE TABLE detection_progress (
    stream_id   integer PRIMARY KEY,
    sequence    bigint NOT NULL,
    seen_at     timestamptz NOT NULL
);

-- One attack: a key of a detection from the first window that passed the threshold until cool-down after the last.
CREATE TABLE detection_episode (
    episode_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL,               -- first call of the window that fired
    fired_at    timestamptz NOT NULL,               -- call that passed the threshold
    last_at     timestamptz NOT NULL,               -- last call beyond it
    seen_at     timestamptz NOT NULL,               -- by our clock
    value       double precision NOT NULL,          -- when it fired
    peak        double precision NOT NULL,
    threshold   double precision NOT NULL,
    version     integer NOT NULL,
    window_s    integer NOT NULL,
    cool_down_s integer NOT NULL,
    listed      integer NOT NULL DEFAULT 0,         -- entries that containment made
    name        text NOT NULL,
    dataset     text NOT NULL,
    key_text    text NOT NULL,
    key         jsonb NOT NULL,
    severity    text NOT NULL,
    mode        text NOT NULL,
    held_back   jsonb NOT NULL DEFAULT '{}'         -- cap → how many entries it held back
);
CREATE INDEX detection_episode_key ON detection_episode (name, key_text, last_at DESC);
CREATE INDEX detection_episode_recent ON detection_episode (fired_at DESC);

-- What containment put on dynamic lists, for caps, for release, and as evidence. The entries themselves: dynamic_entry.
CREATE TABLE detection_listing (
    list        text NOT NULL,
    pattern     text NOT NULL,
    episode_id  bigint NOT NULL REFERENCES detection_episode ON DELETE CASCADE,
    added_at    timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    released_at timestamptz,
    released_by text,
    PRIMARY KEY (list, pattern, episode_id)
);
CREATE INDEX detection_listing_recent ON detection_listing (added_at);
