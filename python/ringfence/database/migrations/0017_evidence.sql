-- Questions for messages that probes keep, and their answers for the few minutes in which they are looked at
-- (docs/decisions/0022-ladder-on-demand.md). Not logged: no message gets into the write-ahead log or to a standby, and
-- a crash of the database empties the table. Backups leave its rows out.
CREATE UNLOGGED TABLE evidence_request (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id  integer NOT NULL REFERENCES device,   -- the probe that is asked
    call_id    text NOT NULL,
    from_us    bigint NOT NULL,                      -- calls that began in [from_us, until_us], by the probe's clock
    until_us   bigint NOT NULL,
    asked_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    outcome    smallint,                             -- vocabulary.EvidenceOutcome; NULL: not answered yet
    body       bytea                                 -- of MESSAGES: packed as docs/contracts.md 2 says
);
CREATE UNIQUE INDEX evidence_request_question ON evidence_request (device_id, from_us, until_us, md5(call_id));
