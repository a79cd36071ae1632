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
