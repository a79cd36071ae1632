-- :name ensure_topics
-- Make the partitions of topics that have none yet.
INSERT INTO bus_partitions (topic, partition)
SELECT topic, partition
FROM unnest(%(topics)s::text[]) AS topic, generate_series(0, %(partitions)s - 1) AS partition
ORDER BY topic, partition
ON CONFLICT DO NOTHING;

-- :name reserve
-- Reserve offsets and hold the partitions: offsets become visible in their order.
WITH locked AS (
    SELECT topic, partition, messages
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(messages)s::bigint[])
         AS wanted (topic, partition, messages)
    JOIN bus_partitions USING (topic, partition)
    ORDER BY topic, partition
    FOR UPDATE OF bus_partitions
)
UPDATE bus_partitions AS bus SET next_offset = bus.next_offset + locked.messages
FROM locked WHERE bus.topic = locked.topic AND bus.partition = locked.partition
RETURNING bus.topic, bus.partition, bus.next_offset - locked.messages;

-- :name copy
-- Write messages.
COPY bus_messages (topic, partition, "offset", key, value, headers, recorded) FROM STDIN (FORMAT BINARY);

-- :name notify
-- Wake up consumers, once the transaction commits.
NOTIFY bus;

-- :name join
-- Count this consumer among its group's members for as long as its session lives.
SELECT pg_advisory_lock_shared(%(space)s, hashtext(%(group)s));

-- :name members
-- Count the consumers of a group.
SELECT count(DISTINCT pid) FROM pg_locks
WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint = %(space)s AND objid::bigint = hashtext(%(group)s)::bigint & 4294967295;

-- :name hold
-- Hold a partition for as long as the session lives, if nobody does.
SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0));

-- :name let_go
-- Give a partition back.
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0));

-- :name idle
-- Tell which partitions' offsets stand where a consumer stands: none of their batches is at work.
SELECT topic, partition
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
     AS held (topic, partition, next_offset)
JOIN consumer_offsets AS stored USING (topic, partition, next_offset)
WHERE stored."group" = %(group)s;

-- :name ahead
-- Find the partitions with messages from given offsets on, and where they end.
SELECT topic, partition, bus_partitions.next_offset
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
     AS held (topic, partition, next_offset)
JOIN bus_partitions USING (topic, partition)
WHERE bus_partitions.next_offset > held.next_offset;

-- :name fetch
-- Read messages of a partition from an offset on.
SELECT topic, key, value, headers, recorded, partition, "offset" FROM bus_messages
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" >= %(offset)s
ORDER BY "offset" LIMIT %(limit)s;

-- :name lag
-- Count the messages of each topic that a group has not consumed.
SELECT wanted.topic, coalesce(sum(bus.next_offset - coalesce(stored.next_offset, 0)), 0)::bigint
FROM unnest(%(topics)s::text[]) AS wanted (topic)
LEFT JOIN bus_partitions AS bus USING (topic)
LEFT JOIN consumer_offsets AS stored
       ON stored."group" = %(group)s
      AND (stored.topic, stored.partition) = (bus.topic, bus.partition)
GROUP BY wanted.topic ORDER BY wanted.topic;

-- :name of_keys
-- Read what some keys' messages on some topics say; tombstones say nothing.
SELECT topic, key, value, headers, recorded, partition, "offset" FROM bus_messages
WHERE key = ANY(%(keys)s) AND topic = ANY(%(topics)s) AND value IS NOT NULL
ORDER BY topic, partition, "offset"
FOR UPDATE;

-- :name remove
-- Remove messages.
DELETE FROM bus_messages
USING unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
      AS gone (topic, partition, "offset")
WHERE (bus_messages.topic, bus_messages.partition, bus_messages."offset")
    = (gone.topic, gone.partition, gone."offset");

-- :name rewrite
-- Write messages anew in their places.
UPDATE bus_messages SET value = %(value)s, headers = %(headers)s::json
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s;
