-- :name waiting
-- List the dead letters of some topics, optionally of one key, without their values.
SELECT topic, key, NULL, headers, recorded, partition, "offset" FROM bus_messages
WHERE topic = ANY(%(topics)s) AND (%(key)s::bytea IS NULL OR key = %(key)s)
ORDER BY topic, partition, "offset";

-- :name count
-- Count the dead letters of the topics that have any.
SELECT topic, count(*) FROM bus_messages WHERE topic = ANY(%(topics)s) GROUP BY topic;

-- :name lock
-- Lock some dead letters until the transaction ends, in order to avoid deadlocks.
SELECT FROM bus_messages
JOIN unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
     AS wanted (topic, partition, "offset") USING (topic, partition, "offset")
ORDER BY topic, partition, "offset"
FOR UPDATE OF bus_messages;

-- :name read
-- Read some dead letters with their values; those that are gone are left out.
SELECT topic, key, value, headers, recorded, partition, "offset" FROM bus_messages
JOIN unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
     AS wanted (topic, partition, "offset") USING (topic, partition, "offset");

-- :name remove
-- Remove some dead letters; return those that were still there.
DELETE FROM bus_messages
USING unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
      AS gone (topic, partition, "offset")
WHERE (bus_messages.topic, bus_messages.partition, bus_messages."offset")
    = (gone.topic, gone.partition, gone."offset")
RETURNING bus_messages.topic, bus_messages.partition, bus_messages."offset";

-- :name renew
-- Replace the reason of a dead letter.
UPDATE bus_messages SET headers = %(headers)s::json
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s;
