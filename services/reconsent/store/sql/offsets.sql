-- :name stored
-- Read a group's offsets on some topics.
SELECT topic, partition, next_offset FROM consumer_offsets
WHERE "group" = %(group)s AND topic = ANY(%(topics)s);

-- :name take_over
-- Become the owner of a partition; the earlier owner is fenced.
INSERT INTO consumer_offsets AS stored ("group", topic, partition, next_offset, epoch)
VALUES (%(group)s, %(topic)s, %(partition)s, 0, 1)
ON CONFLICT ("group", topic, partition) DO UPDATE SET epoch = stored.epoch + 1
RETURNING epoch, next_offset;

-- :name advance
-- Move an offset past a batch, if the consumer still owns the partition and left nothing out.
UPDATE consumer_offsets SET next_offset = %(next_offset)s
WHERE "group" = %(group)s AND topic = %(topic)s AND partition = %(partition)s
  AND epoch = %(epoch)s AND next_offset = %(start_offset)s;
