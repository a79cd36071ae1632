-- :name bucket
-- Find a bucket with choices whose events are not hashed.
SELECT bucket FROM consents WHERE event_hash IS NULL LIMIT 1;

-- :name some
-- Read some of these choices.
SELECT account_key, entry, answer, source, event_id
FROM consents WHERE bucket = %(bucket)s AND event_hash IS NULL
ORDER BY account_key, entry LIMIT %(limit)s;

-- :name write
-- Keep the hashes in place of sources and ids.
UPDATE consents SET event_hash = hashed.event_hash, source = NULL, event_id = NULL
FROM unnest(%(keys)s::bigint[], %(entries)s::integer[], %(hashes)s::bytea[])
     AS hashed (account_key, entry, event_hash)
WHERE consents.bucket = %(bucket)s AND consents.account_key = hashed.account_key
  AND consents.entry = hashed.entry AND consents.event_hash IS NULL;
