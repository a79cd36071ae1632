-- The bus in PostgreSQL, and where its consumers stand. Consumers of another bus stand here too.

CREATE TABLE consumer_offsets (
    "group"     text NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    epoch       bigint NOT NULL CHECK (epoch > 0),
    PRIMARY KEY ("group", topic, partition)
) WITH (fillfactor = 50);

-- Whoever writes to a partition holds its row until the end of the transaction: offsets become
-- visible in their order and without gaps that fill up later.
CREATE TABLE bus_partitions (
    topic       text NOT NULL,
    partition   integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL DEFAULT 0 CHECK (next_offset >= 0),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- Headers are [[name, value], …] in their order; a null value is a tombstone. What an account's
-- deletion takes along leaves gaps between the offsets.
CREATE TABLE bus_messages (
    topic     text NOT NULL,
    partition integer NOT NULL,
    "offset"  bigint NOT NULL,
    key       bytea,
    value     bytea,
    headers   json NOT NULL,
    recorded  timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX bus_messages_key ON bus_messages USING hash (key);
