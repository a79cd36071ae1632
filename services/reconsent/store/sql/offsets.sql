-- :name stored
-- Read where a group stands on some topics.
SELECT topic, partition, next_offset FROM consumer_offsets
WHERE "group" = %(group)s AND topic = ANY(%(topics)s);

-- :name take_over
-- Become the owner of a partition; whoever owned it before is fenced off.
INSERT INTO consumer_offsets AS stored ("group", topic, partition, next_offset, epoch)
VALUES (%(group)s, %(topic)s, %(partition)s, 0, 1)
ON CONFLICT ("group", topic, partition) DO UPDATE SET epoch = stored.epoch + 1
RETURNING epoch, next_offset;

-- :name advance
-- Move an offset over a batch, if its owner still is the owner and nothing was left out.
UPDATE consumer_offsets SET next_offset = %(next_offset)s
WHERE "group" = %(group)s AND topic = %(topic)s AND partition = %(partition)s
  AND epoch = %(epoch)s AND next_offset = %(start_offset)s;
