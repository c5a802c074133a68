-- Reports by e-mail: which saved view goes to whom and when, and each period's sending.

CREATE TABLE report (
    report_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    owner       text NOT NULL,
    view_owner  text NOT NULL,                      -- with view_name: the saved view, as it is when the report is sent
    view_name   text NOT NULL,
    every       text NOT NULL CHECK (every IN ('day', 'week', 'month')),
    day         smallint NOT NULL,                  -- of the week from 1 for Monday, of the month; daily: 1
    hour        smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    zone        text NOT NULL,
    recipients  text[] NOT NULL,
    set_at      timestamptz NOT NULL                -- what was due before is not sent
);

-- Whoever inserts a period's row, or counts its attempts up, is the only one to send it (reports/schedule.py).
CREATE TABLE report_run (
    report_id   integer NOT NULL REFERENCES report ON DELETE CASCADE,
    period      text NOT NULL,                      -- 2026-11-28, 2026-W48, 2026-11; of one sent by hand the time
    due_at      timestamptz NOT NULL,
    asked_by    text,                               -- who sent it by hand
    state       text NOT NULL CHECK (state IN ('claimed', 'sending', 'sent', 'failed', 'unsure', 'given_up')),
    attempts    smallint NOT NULL,
    changed_at  timestamptz NOT NULL,
    note        text,                               -- what went wrong, also of those sent: addresses that were refused
    PRIMARY KEY (report_id, period)
);
CREATE INDEX report_run_due ON report_run (report_id, due_at DESC);
