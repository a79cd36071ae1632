-- :name next
-- Lock the place from which on messages are still to be looked into, if there is one.
SELECT topic, partition, next_offset FROM bus_sweeps
ORDER BY topic, partition LIMIT 1 FOR UPDATE;

-- :name messages
-- Lock some messages from there on: reports, and those that name more than their keys do.
SELECT topic, key, value, headers, recorded, partition, "offset", names,
       names_more(topic, key, value) AS names_more
FROM bus_messages
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" >= %(next_offset)s
  AND value IS NOT NULL AND (topic = ANY(%(of_notices)s) OR names_more(topic, key, value))
ORDER BY "offset" LIMIT %(limit)s
FOR UPDATE;

-- :name go_on
-- Note how far a partition was looked through.
UPDATE bus_sweeps SET next_offset = %(next_offset)s
WHERE topic = %(topic)s AND partition = %(partition)s;

-- :name end
-- Note that nothing is left to do in a partition.
DELETE FROM bus_sweeps WHERE topic = %(topic)s AND partition = %(partition)s;

-- :name notices
-- Find which of some notices are ours, and whether they are of deleted accounts or minors.
SELECT notice_id, dead OR minor AS forgotten
FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
JOIN notices USING (bucket, account_key, notice_id) JOIN accounts USING (bucket, account_key);

-- :name accounts
-- Find when accounts were last deleted, and since when they are minors', of those that are either.
SELECT property, account, deleted_at, CASE WHEN minor THEN updated_at END AS minor_at FROM accounts
WHERE (deleted_at IS NOT NULL OR minor) AND (bucket, property, account) IN (
    SELECT bucket_of_name(property, account), property, account
    FROM unnest(%(properties)s::text[], %(accounts)s::text[]) AS named (property, account));
