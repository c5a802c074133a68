-- Trust: the mediation's own keys, enrolment of devices by certificate, and the audit trail as a chain of hashes.

-- With the database they go to the standby pair: after a failover edges meet the certificate that they know, and the
-- authority that signed theirs. Whoever reads them can read (and, owning the database, change) everything else.
CREATE TABLE trust_key (
    purpose     text PRIMARY KEY CHECK (purpose IN ('listener', 'devices')),
    certificate text NOT NULL,                      -- PEM
    key         text NOT NULL,                      -- PEM, PKCS #8
    made_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE device_invitation (
    invitation_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash   bytea NOT NULL UNIQUE,
    name          text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('enum', 'probe')),
    site_id       smallint NOT NULL REFERENCES site,
    made_by       text NOT NULL,
    made_at       timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    withdrawn_at  timestamptz
);
CREATE INDEX device_invitation_open ON device_invitation (expires_at) WHERE used_at IS NULL AND withdrawn_at IS NULL;

-- Only what stands here lets a device in: a certificate that the authority's key signed elsewhere does not.
CREATE TABLE device_certificate (
    fingerprint   bytea PRIMARY KEY,                -- SHA-256 of the certificate
    device_id     smallint NOT NULL REFERENCES device,
    issued_at     timestamptz NOT NULL,
    not_after     timestamptz NOT NULL,
    first_used_at timestamptz,
    ends_at       timestamptz                       -- revoked, or replaced by a newer one, from then on
);
CREATE INDEX device_certificate_device ON device_certificate (device_id, issued_at);

ALTER TABLE device ALTER COLUMN credential_hash DROP NOT NULL;    -- an enrolled device has certificates instead
ALTER TABLE device ADD COLUMN renewal_wanted_at timestamptz;      -- somebody asked for a new certificate before its time

-- The chain: each link's hash covers the link before and the entry (accounts/audit_chain.py says how). A deferred
-- trigger makes the link when the transaction commits: so links are in the order of commits, and the lock that keeps
-- two from making the same one is held for that moment only.
CREATE TABLE audit_link (
    place    bigint PRIMARY KEY,                    -- 1, 2, 3 … without a gap
    audit_id bigint NOT NULL UNIQUE,
    hash     bytea NOT NULL
);

CREATE FUNCTION audit_content(place bigint, entry audit) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT convert_to(jsonb_build_array(place, entry.audit_id, (extract(epoch FROM entry.at) * 1000000)::bigint,
                      entry.actor, entry.address, entry.action, entry.subject, entry.detail)::text, 'UTF8')
$$;

CREATE FUNCTION link_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last_place bigint := 0;
    last_hash bytea := '';
BEGIN
    PERFORM pg_advisory_xact_lock(7201014);
    SELECT l.place, l.hash INTO last_place, last_hash FROM audit_link l ORDER BY l.place DESC LIMIT 1;
    last_place := coalesce(last_place, 0) + 1;
    INSERT INTO audit_link (place, audit_id, hash)
    VALUES (last_place, NEW.audit_id, sha256(coalesce(last_hash, '') || audit_content(last_place, NEW)));
    RETURN NULL;
END
$$;

DO $$
DECLARE
    entry audit;
    number bigint := 0;
    last_hash bytea := '';
BEGIN
    FOR entry IN SELECT * FROM audit ORDER BY audit_id LOOP
        number := number + 1;
        last_hash := sha256(last_hash || audit_content(number, entry));
        INSERT INTO audit_link VALUES (number, entry.audit_id, last_hash);
    END LOOP;
END
$$;

CREATE CONSTRAINT TRIGGER audit_is_linked AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION link_audit();
CREATE TRIGGER audit_link_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_link
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
