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
