-- :name bucket_of_notices
-- Find a bucket with reports about notices whose ids are not hashed.
SELECT bucket FROM mail_events
WHERE provider_id IS NOT NULL AND NOT starts_with(provider_id, 'hashed:')
ORDER BY bucket LIMIT 1;

-- :name some_of_notices
-- Read some of these reports.
SELECT account_key, notice_id, event, occurred_at, provider_id FROM mail_events
WHERE bucket = %(bucket)s AND provider_id IS NOT NULL AND NOT starts_with(provider_id, 'hashed:')
LIMIT %(limit)s;

-- :name repeated_of_notices
-- Remove those that are there with their hashed ids as well.
DELETE FROM mail_events USING unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(event)s::text[], %(occurred_at)s::timestamptz[],
            %(provider_id)s::text[], %(hashed)s::text[])
     AS hashed (account_key, notice_id, event, occurred_at, provider_id, kept)
WHERE mail_events.bucket = %(bucket)s
  AND mail_events.account_key = hashed.account_key
  AND mail_events.notice_id = hashed.notice_id
  AND mail_events.event = hashed.event
  AND mail_events.occurred_at = hashed.occurred_at
  AND mail_events.provider_id = hashed.provider_id
  AND EXISTS (SELECT FROM mail_events AS kept WHERE kept.bucket = %(bucket)s
              AND kept.account_key = hashed.account_key
              AND kept.notice_id = hashed.notice_id
              AND kept.event = hashed.event
              AND kept.occurred_at = hashed.occurred_at
              AND kept.provider_id = hashed.kept);

-- :name write_of_notices
-- Keep the hashes in place of the ids.
UPDATE mail_events SET provider_id = hashed.kept
FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(event)s::text[], %(occurred_at)s::timestamptz[],
            %(provider_id)s::text[], %(hashed)s::text[])
     AS hashed (account_key, notice_id, event, occurred_at, provider_id, kept)
WHERE mail_events.bucket = %(bucket)s
  AND mail_events.account_key = hashed.account_key
  AND mail_events.notice_id = hashed.notice_id
  AND mail_events.event = hashed.event
  AND mail_events.occurred_at = hashed.occurred_at
  AND mail_events.provider_id = hashed.provider_id;

-- :name bucket_of_mailboxes
-- Find a bucket with reports about mailboxes whose ids are not hashed.
SELECT bucket FROM mailbox_reports
WHERE provider_id IS NOT NULL AND NOT starts_with(provider_id, 'hashed:')
ORDER BY bucket LIMIT 1;

-- :name some_of_mailboxes
-- Read some of these reports.
SELECT address_hash, event, occurred_at, provider_id FROM mailbox_reports
WHERE bucket = %(bucket)s AND provider_id IS NOT NULL AND NOT starts_with(provider_id, 'hashed:')
LIMIT %(limit)s;

-- :name repeated_of_mailboxes
-- Remove those that are there with their hashed ids as well.
DELETE FROM mailbox_reports USING unnest(%(address_hash)s::bytea[], %(event)s::text[], %(occurred_at)s::timestamptz[],
            %(provider_id)s::text[], %(hashed)s::text[])
     AS hashed (address_hash, event, occurred_at, provider_id, kept)
WHERE mailbox_reports.bucket = %(bucket)s
  AND mailbox_reports.address_hash = hashed.address_hash
  AND mailbox_reports.event = hashed.event
  AND mailbox_reports.occurred_at = hashed.occurred_at
  AND mailbox_reports.provider_id = hashed.provider_id
  AND EXISTS (SELECT FROM mailbox_reports AS kept WHERE kept.bucket = %(bucket)s
              AND kept.address_hash = hashed.address_hash
              AND kept.event = hashed.event
              AND kept.occurred_at = hashed.occurred_at
              AND kept.provider_id = hashed.kept);

-- :name write_of_mailboxes
-- Keep the hashes in place of the ids.
UPDATE mailbox_reports SET provider_id = hashed.kept
FROM unnest(%(address_hash)s::bytea[], %(event)s::text[], %(occurred_at)s::timestamptz[],
            %(provider_id)s::text[], %(hashed)s::text[])
     AS hashed (address_hash, event, occurred_at, provider_id, kept)
WHERE mailbox_reports.bucket = %(bucket)s
  AND mailbox_reports.address_hash = hashed.address_hash
  AND mailbox_reports.event = hashed.event
  AND mailbox_reports.occurred_at = hashed.occurred_at
  AND mailbox_reports.provider_id = hashed.provider_id;
