-- Days of event tables that are archived as Parquet (docs/decisions/0017-archive-format.md). A part answers for its
-- rows only from `released_at` on, which commits together with the drop of the partition that had them.
CREATE TABLE archive_part (
    table_name  text NOT NULL,
    day         date NOT NULL,                      -- UTC
    part        integer NOT NULL,                   -- 1, and more for calls that came after the day was dropped
    place       text NOT NULL,                      -- folder, or s3://BUCKET/PREFIX?endpoint=…&region=…
    file        text NOT NULL,                      -- below the place; a name is never used twice
    rows        bigint NOT NULL,
    bytes       bigint NOT NULL,
    sha256      text NOT NULL,                      -- of the file
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    archived_at timestamptz NOT NULL,
    released_at timestamptz,
    PRIMARY KEY (table_name, day, part)
);
CREATE UNIQUE INDEX archive_part_copy ON archive_part (table_name, day) WHERE released_at IS NULL;

-- Days whose calls are in no place any more: what counts calls of such a day says that it lacks them.
CREATE TABLE lost_day (
    table_name text NOT NULL,
    day        date NOT NULL,                       -- UTC
    why        text NOT NULL,                       -- age, dataset_share, disk_full
    dropped_at timestamptz NOT NULL,
    PRIMARY KEY (table_name, day)
);
