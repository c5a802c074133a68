-- The functional system test: the deployment's plan, and the record of each run with its signatures.

CREATE TABLE fst_plan (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    plan        jsonb NOT NULL,
    changed_at  timestamptz NOT NULL,
    changed_by  text NOT NULL
);

CREATE TABLE fst_run (
    started_at  timestamptz NOT NULL,
    run_id      text PRIMARY KEY,
    started_by  text NOT NULL,
    mode        text NOT NULL,
    verdict     text NOT NULL,                      -- follows from the record; here for lists
    record      jsonb NOT NULL,
    signatures  jsonb NOT NULL DEFAULT '[]'         -- once there is one, the record does not change any more
);
CREATE INDEX fst_run_started ON fst_run (started_at DESC);
