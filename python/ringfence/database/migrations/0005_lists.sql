-- Static lists (docs/decisions/0010-lists.md): what is on a list now and was at each of its revisions, and the contents
-- that policy versions name by their hash.

CREATE TABLE policy_list (
    list_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('static', 'dynamic')),
    note        text NOT NULL DEFAULT '',
    revision    integer NOT NULL DEFAULT 0,         -- of a static list: one more with each change of its entries
    entries     integer NOT NULL DEFAULT 0,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    changed_by  text NOT NULL,
    changed_at  timestamptz NOT NULL,
    deleted_at  timestamptz                         -- its revisions stay for the versions that name them
);
CREATE UNIQUE INDEX policy_list_name ON policy_list (name) WHERE deleted_at IS NULL;

CREATE TABLE policy_list_revision (
    list_id     integer NOT NULL REFERENCES policy_list,
    revision    integer NOT NULL,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    what        text NOT NULL,                      -- 'add', 'edit', 'remove', 'import', 'feed', 'restore'
    added       integer NOT NULL DEFAULT 0,
    removed     integer NOT NULL DEFAULT 0,
    changed     integer NOT NULL DEFAULT 0,
    entries     integer NOT NULL,
    content     text,                               -- its hash, once somebody needed it
    PRIMARY KEY (list_id, revision)
);

-- One row for each entry and stretch of revisions over which it stayed the same. Columns by alignment.
CREATE TABLE policy_list_entry (
    added_at    timestamptz NOT NULL,
    expires_at  timestamptz,                        -- NULL: stays until it is removed
    low         bigint,                             -- first and last number, of an exact number and of a range
    high        bigint,
    list_id     integer NOT NULL,
    since       integer NOT NULL,                   -- first revision that has it so
    until       integer,                            -- first revision that has not; NULL: it is so now
    pattern     text COLLATE "C" NOT NULL,          -- in canonical form
    note        text NOT NULL DEFAULT '',
    origin      text NOT NULL DEFAULT '',           -- how it came: 'by hand', 'import', 'feed', 'call log'
    added_by    text NOT NULL
);
CREATE UNIQUE INDEX policy_list_entry_now ON policy_list_entry (list_id, pattern) WHERE until IS NULL;
CREATE INDEX policy_list_entry_before ON policy_list_entry (list_id, pattern, until) WHERE until IS NOT NULL;
CREATE INDEX policy_list_entry_range ON policy_list_entry (list_id, high) WHERE low < high;
CREATE INDEX policy_list_entry_wildcard ON policy_list_entry (list_id) WHERE strpos(pattern, '?') > 0;

-- Contents of lists by their SHA-256 (docs/contracts.md 4), in parts, without their first line. Never changed.
CREATE TABLE policy_content (
    content_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash        text NOT NULL UNIQUE,
    bytes       bigint NOT NULL,
    entries     integer NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE policy_content_part (
    content_id  integer NOT NULL,
    part        integer NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (content_id, part)
);

-- Which content of which list a version has.
CREATE TABLE policy_version_list (
    version     integer NOT NULL REFERENCES policy_version,
    name        text NOT NULL,
    content     text NOT NULL REFERENCES policy_content (hash),
    list_id     integer REFERENCES policy_list,     -- NULL: the policy named a content itself
    revision    integer,
    PRIMARY KEY (version, name)
);

-- Lists that are fed from a URL.
CREATE TABLE policy_list_feed (
    list_id     integer PRIMARY KEY REFERENCES policy_list,
    url         text NOT NULL,
    format      text NOT NULL CHECK (format IN ('csv', 'numbers')),
    every_s     integer NOT NULL,
    checksum_url text,                              -- a file with the SHA-256 of what `url` gives
    installs    boolean NOT NULL,                   -- whether a changed list is committed and installed at once
    set_by      text NOT NULL,
    set_at      timestamptz NOT NULL,
    -- as of the last attempt
    etag        text,
    last_modified text,
    content_sha256 text,                            -- of the file that the list was last taken from
    tried_at    timestamptz,
    fetched_at  timestamptz,                        -- last time the source was reached and its list taken, or unchanged
    error       text,                               -- NULL: the last attempt went well
    failures    integer NOT NULL DEFAULT 0          -- in a row
);
