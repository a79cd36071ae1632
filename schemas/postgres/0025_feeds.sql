-- Feeds that go wrong: reports that are not about our notices, and topics that stand still.

-- Each session counts in a slot of its own, as far as there are enough, so that none waits for another.
CREATE TABLE reports_not_ours (
    slot    smallint PRIMARY KEY CHECK (slot >= 0),
    reports bigint NOT NULL CHECK (reports > 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE reports_not_ours IS 'local: belongs to no account';

-- A row as long as the intake does not get past the messages of a partition. `reason` is that of the
-- last message it tried. Once somebody has accepted it, the messages become dead letters.
CREATE TABLE stopped_partitions (
    topic      text NOT NULL,
    partition  integer NOT NULL CHECK (partition >= 0),
    stopped_at timestamptz NOT NULL DEFAULT now(),
    reason     text NOT NULL,
    accepted   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE stopped_partitions IS 'local: written with the offsets of the topic';
