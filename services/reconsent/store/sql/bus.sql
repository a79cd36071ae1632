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
