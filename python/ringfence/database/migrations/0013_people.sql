-- People: second factor, where an account comes from, which sites it is limited to; sessions that end when idle, tokens
-- that belong to a person.

ALTER TABLE account ALTER COLUMN password_hash DROP NOT NULL;   -- NULL: signs in by LDAP or OIDC alone
ALTER TABLE account
    ADD COLUMN origin       text NOT NULL DEFAULT 'local' CHECK (origin IN ('local', 'ldap', 'oidc')),
    ADD COLUMN origin_id    text,                   -- LDAP: the entry's DN; OIDC: issuer and subject, which never change
    ADD COLUMN checked_at   timestamptz,            -- when its origin was last asked about it
    ADD COLUMN sites        smallint[],             -- NULL: all
    ADD COLUMN totp_secret  bytea,
    ADD COLUMN totp_step    bigint NOT NULL DEFAULT 0,  -- of the last code that was taken: none up to it is taken again
    ADD COLUMN totp_set_at  timestamptz;            -- NULL: the secret was shown, no code of it was seen yet
CREATE UNIQUE INDEX account_origin ON account (origin, origin_id) WHERE origin_id IS NOT NULL;

-- One-time codes for who has lost the second factor; only SHA-256 of each is kept.
CREATE TABLE recovery_code (
    account_id  integer NOT NULL REFERENCES account ON DELETE CASCADE,
    code_hash   bytea NOT NULL,
    PRIMARY KEY (account_id, code_hash)
);

-- 'step': between the password and the code of a sign-in.
ALTER TABLE credential DROP CONSTRAINT credential_kind_check;
ALTER TABLE credential ADD CONSTRAINT credential_kind_check CHECK (kind IN ('session', 'token', 'step'));
ALTER TABLE credential
    ADD COLUMN idle_s   integer,                    -- ends when it was not used for as long; NULL: does not
    ADD COLUMN sites    smallint[],                 -- NULL: all that its account sees
    ADD COLUMN address  text,                       -- where the session was made
    ADD COLUMN agent    text;                       -- the browser that it was made with, as it calls itself

-- A sign-in that an OpenID provider was asked for: what it must bring back, once.
CREATE TABLE oidc_request (
    state_hash  bytea PRIMARY KEY,
    browser     bytea NOT NULL,                     -- SHA-256 of the cookie of the browser that began it
    nonce       text NOT NULL,
    verifier    text NOT NULL,                      -- RFC 7636
    target      text NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now()
);

-- Addresses that an account has signed in from: guessing elsewhere locks them out as little as possible.
CREATE TABLE account_address (
    account_id      integer NOT NULL REFERENCES account ON DELETE CASCADE,
    address         text NOT NULL,
    succeeded_at    timestamptz NOT NULL,
    failed_sign_ins integer NOT NULL DEFAULT 0,
    locked_until    timestamptz,
    PRIMARY KEY (account_id, address)
);
