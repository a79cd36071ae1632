-- :name join
-- Register this consumer as a member of its group until its session ends.
SELECT pg_advisory_lock_shared(%(space)s, hashtext(%(group)s));

-- :name members
-- Count the consumers of a group.
SELECT count(DISTINCT pid) FROM pg_locks
WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint = %(space)s AND objid::bigint = hashtext(%(group)s)::bigint & 4294967295;

-- :name lock
-- Lock a partition until the session ends, unless another session has it.
SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0));

-- :name unlock
-- Unlock a partition.
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0));

-- :name idle
-- Find the partitions whose stored offset is the consumer's: no batch of them is being recorded.
SELECT topic, partition
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
     AS held (topic, partition, next_offset)
JOIN consumer_offsets AS stored USING (topic, partition, next_offset)
WHERE stored."group" = %(group)s;

-- :name ahead
-- Find the partitions with messages from given offsets on, with their end offsets.
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
