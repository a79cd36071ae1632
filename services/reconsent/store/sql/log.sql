-- :name ensure_topics
-- Create the missing partitions of topics.
INSERT INTO bus_partitions (topic, partition)
SELECT topic, partition
FROM unnest(%(topics)s::text[]) AS topic, generate_series(0, %(partitions)s - 1) AS partition
ORDER BY topic, partition
ON CONFLICT DO NOTHING;

-- :name reserve
-- Lock the partitions and reserve offsets, so that messages become visible in order.
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

-- :name lag
-- Count the messages of each topic that a group has not consumed.
SELECT wanted.topic, coalesce(sum(bus.next_offset - coalesce(stored.next_offset, 0)), 0)::bigint
FROM unnest(%(topics)s::text[]) AS wanted (topic)
LEFT JOIN bus_partitions AS bus USING (topic)
LEFT JOIN consumer_offsets AS stored
       ON stored."group" = %(group)s
      AND (stored.topic, stored.partition) = (bus.topic, bus.partition)
GROUP BY wanted.topic ORDER BY wanted.topic;

-- :name to_name
-- Read the messages of which nobody has looked what they name, where that is more than their keys.
SELECT topic, key, value, headers, recorded, partition, "offset" FROM bus_messages
WHERE names IS NULL AND value IS NOT NULL AND names_more(topic, key, value)
ORDER BY topic, partition, "offset" LIMIT %(limit)s
FOR UPDATE;

-- :name note_names
-- Keep what messages name: each name comes with its message.
UPDATE bus_messages SET names = named.names
FROM (SELECT topic, partition, "offset", array_remove(array_agg(name), NULL) AS names
      FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[],
                  %(names)s::bytea[]) AS each (topic, partition, "offset", name)
      GROUP BY topic, partition, "offset") AS named
WHERE (bus_messages.topic, bus_messages.partition, bus_messages."offset")
    = (named.topic, named.partition, named."offset");

-- :name of_names
-- Read the messages on some topics with some keys, or that name these, except tombstones.
SELECT topic, key, value, headers, recorded, partition, "offset", names FROM bus_messages
WHERE (key = ANY(%(names)s::bytea[]) OR names && %(names)s::bytea[])
  AND topic = ANY(%(topics)s) AND value IS NOT NULL
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
-- Rewrite messages in place; what they name now is looked for again.
UPDATE bus_messages SET value = %(value)s, headers = %(headers)s::json, names = NULL
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s;
