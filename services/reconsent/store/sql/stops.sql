-- :name stopped
-- List the partitions that are stopped.
SELECT topic, partition, stopped_at, reason, accepted FROM stopped_partitions
ORDER BY topic, partition;

-- :name stop
-- Record that a partition is stopped.
INSERT INTO stopped_partitions (topic, partition, reason)
VALUES (%(topic)s, %(partition)s, %(reason)s)
ON CONFLICT (topic, partition) DO UPDATE SET reason = excluded.reason;

-- :name clear
-- Record that a partition goes on.
DELETE FROM stopped_partitions WHERE topic = %(topic)s AND partition = %(partition)s;

-- :name is_accepted
-- Tell whether the messages at which a partition is stopped may become dead letters.
SELECT accepted FROM stopped_partitions WHERE topic = %(topic)s AND partition = %(partition)s;

-- :name accept
-- Let the messages at which a topic is stopped become dead letters.
UPDATE stopped_partitions SET accepted = true WHERE topic = %(topic)s;
