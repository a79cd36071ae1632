-- :name stored
-- Read where a group stands on some topics.
SELECT topic, partition, next_offset FROM consumer_offsets
WHERE "group" = %(group)s AND topic = ANY(%(topics)s);
