-- Policy lifecycle: the shared draft, documents by site and device, what is installed where, an audit trail for good.

-- What a site's dial plan says otherwise than its country's; keys as in the policy document's `site`.
ALTER TABLE site ADD COLUMN dial_plan jsonb NOT NULL DEFAULT '{}';
ALTER TABLE site ADD COLUMN note text NOT NULL DEFAULT '';

ALTER TABLE device ADD COLUMN note text NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN policy_since timestamptz;         -- since when it reports policy_version

-- The bytes that edges compile. A site's own, and a device's own where the version names it in a rule.
CREATE TABLE policy_document (
    version     integer NOT NULL REFERENCES policy_version,
    site        text NOT NULL,
    device      text NOT NULL DEFAULT '',           -- '': every device of the site that no rule names
    hash        text NOT NULL,                      -- SHA-256 of document, hex
    document    bytea NOT NULL,
    PRIMARY KEY (version, site, device)
);
CREATE INDEX policy_document_hash ON policy_document (hash);

ALTER TABLE policy_version ADD COLUMN sites jsonb NOT NULL DEFAULT '[]';            -- as they were at the commit
ALTER TABLE policy_version ADD COLUMN named_devices text[] NOT NULL DEFAULT '{}';   -- in rules
UPDATE policy_version SET sites = coalesce((SELECT jsonb_build_array(jsonb_build_object(
    'name', name, 'country', country, 'own_ranges', to_jsonb(own_ranges))) FROM site ORDER BY site_id LIMIT 1), '[]');
INSERT INTO policy_document (version, site, hash, document)
    SELECT version, coalesce((SELECT name FROM site ORDER BY site_id LIMIT 1), 'main'), hash, document FROM policy_version;
ALTER TABLE policy_version DROP COLUMN document;

-- What acts where: a device's row stands before its site's, that before the one for all. Without any row: no policy.
CREATE TABLE policy_target (
    target      text PRIMARY KEY,                   -- 'all', 'site:NAME', 'device:NAME'
    version     integer NOT NULL,                   -- 0: uninstalled there
    since       timestamptz NOT NULL
);
INSERT INTO policy_target (target, version, since)
    SELECT 'all', coalesce(version, 0), installed_at FROM policy_installation ORDER BY installation_id DESC LIMIT 1;
INSERT INTO policy_target (target, version, since)
    SELECT 'device:' || name, wanted_version, now() FROM device WHERE wanted_version IS NOT NULL;
ALTER TABLE device DROP COLUMN wanted_version;

-- Every installation and its like, with what it changed: so that it can be undone.
ALTER TABLE policy_installation ADD COLUMN action text NOT NULL DEFAULT 'install'
    CHECK (action IN ('install', 'uninstall', 'follow', 'go_on', 'rollback', 'revert'));
ALTER TABLE policy_installation ADD COLUMN target text NOT NULL DEFAULT 'all';
ALTER TABLE policy_installation ADD COLUMN changed jsonb NOT NULL DEFAULT '{}';     -- target → [before, after], null: no row
ALTER TABLE policy_installation ADD COLUMN is_staged boolean NOT NULL DEFAULT false;
ALTER TABLE policy_installation ADD COLUMN confirm_by timestamptz;                  -- reverts then, unless settled
ALTER TABLE policy_installation ADD COLUMN outcome text
    CHECK (outcome IN ('confirmed', 'reverted', 'rolled_back', 'went_on', 'superseded'));
ALTER TABLE policy_installation ADD COLUMN outcome_at timestamptz;
ALTER TABLE policy_installation ADD COLUMN outcome_by text;
CREATE INDEX policy_installation_unconfirmed ON policy_installation (confirm_by)
    WHERE confirm_by IS NOT NULL AND outcome IS NULL;

-- The one candidate that all operators edit. Without a row it is the newest version.
CREATE TABLE policy_draft (
    only_one     boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    revision     bigint NOT NULL,                   -- grows by one with each edit, for ever
    base_version integer NOT NULL,                  -- the newest version when it was last equal to one; 0: none
    source       jsonb NOT NULL,
    changed_at   timestamptz NOT NULL,
    changed_by   text NOT NULL
);

-- What each edit did to which object: told to those who edited it meanwhile.
CREATE TABLE policy_draft_change (
    revision     bigint NOT NULL,
    kind         text NOT NULL,
    name         text NOT NULL,
    what         text NOT NULL CHECK (what IN ('added', 'changed', 'removed', 'moved')),
    at           timestamptz NOT NULL,
    actor        text NOT NULL,
    operation    text NOT NULL,
    words        text NOT NULL,
    before       jsonb,
    after        jsonb,
    PRIMARY KEY (revision, kind, name, what)
);
CREATE INDEX policy_draft_change_object ON policy_draft_change (kind, name, revision);

-- The trail is only ever added to, whoever asks.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE INDEX audit_action ON audit (action, audit_id);
CREATE INDEX audit_actor ON audit (actor, audit_id);
