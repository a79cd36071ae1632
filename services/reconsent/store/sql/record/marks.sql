-- :name mark
-- Mark mailboxes, and lift marks: each counts from its latest time, and holds unless it was lifted after.
INSERT INTO mailbox_marks (bucket, address_hash, mark, marked_at, lifted_at, lifted_for)
SELECT bucket_of_hash(address_hash), address_hash, mark, marked_at,
       CASE WHEN lifted_at > marked_at THEN lifted_at END,
       CASE WHEN lifted_at > marked_at THEN lifted_for END
FROM unnest(%(address_hash)s::bytea[], %(mark)s::text[], %(marked_at)s::timestamptz[],
            %(lifted_at)s::timestamptz[], %(lifted_for)s::text[])
     AS made (address_hash, mark, marked_at, lifted_at, lifted_for)
ORDER BY address_hash, mark
ON CONFLICT (bucket, address_hash, mark) DO UPDATE SET
    marked_at = greatest(mailbox_marks.marked_at, excluded.marked_at),
    lifted_at = CASE
        WHEN greatest(mailbox_marks.lifted_at, excluded.lifted_at)
             > greatest(mailbox_marks.marked_at, excluded.marked_at)
        THEN greatest(mailbox_marks.lifted_at, excluded.lifted_at) END,
    lifted_for = CASE
        WHEN greatest(mailbox_marks.lifted_at, excluded.lifted_at)
             > greatest(mailbox_marks.marked_at, excluded.marked_at)
        THEN CASE WHEN mailbox_marks.lifted_at IS NULL
                       OR excluded.lifted_at > mailbox_marks.lifted_at
                  THEN excluded.lifted_for ELSE mailbox_marks.lifted_for END END
WHERE mailbox_marks.marked_at < excluded.marked_at;

-- :name lift
-- Lift marks that were made before; return those that held or were lifted earlier.
UPDATE mailbox_marks SET lifted_at = lifted.at, lifted_for = lifted.reason
FROM unnest(%(address_hash)s::bytea[], %(mark)s::text[], %(at)s::timestamptz[],
            %(reason)s::text[]) AS lifted (address_hash, mark, at, reason)
WHERE mailbox_marks.bucket = bucket_of_hash(lifted.address_hash)
  AND mailbox_marks.address_hash = lifted.address_hash AND mailbox_marks.mark = lifted.mark
  AND lifted.at > marked_at AND (lifted_at IS NULL OR lifted.at > lifted_at)
RETURNING mailbox_marks.address_hash;

-- :name marked
-- Read the marks of mailboxes, also the lifted ones.
SELECT address_hash, mark, marked_at, lifted_at, lifted_for
FROM mailbox_marks JOIN mailboxes(%(address_hashes)s::bytea[]) USING (bucket, address_hash)
ORDER BY address_hash, mark;

-- :name counts
-- Count the mailboxes that nothing is sent to, by mark.
SELECT mark, count(*) AS mailboxes FROM mailbox_marks WHERE lifted_at IS NULL
GROUP BY mark ORDER BY mark;

-- :name order
-- Keep what an operator said of mailboxes.
INSERT INTO mailbox_orders (bucket, address_hash, mark, lifts, at, said_by, reason)
SELECT bucket_of_hash(address_hash), said.*
FROM unnest(%(address_hash)s::bytea[], %(mark)s::text[], %(lifts)s::boolean[], %(at)s::timestamptz[],
            %(said_by)s::text[], %(reason)s::text[])
     AS said (address_hash, mark, lifts, at, said_by, reason)
ORDER BY address_hash, mark
ON CONFLICT DO NOTHING;

-- :name orders
-- Read what operators said of mailboxes.
SELECT address_hash, mark, lifts, at, said_by, reason
FROM mailbox_orders JOIN mailboxes(%(address_hashes)s::bytea[]) USING (bucket, address_hash)
ORDER BY address_hash, at;

-- :name delivered_by_notice
-- Find when mail to some mailboxes, of accounts that have or had them, was last reported as delivered.
SELECT address_hash, max(occurred_at) AS at
FROM listed(%(keys)s::bigint[]) JOIN notices USING (bucket, account_key)
JOIN mail_events USING (bucket, account_key, notice_id)
WHERE address_hash = ANY(%(address_hashes)s::bytea[]) AND event = 'delivered'
GROUP BY address_hash;

-- :name delivered_to_deleted
-- Find the same of deleted accounts.
SELECT address_hash, max(occurred_at) AS at
FROM notices JOIN mail_events USING (bucket, account_key, notice_id)
WHERE address_hash = ANY(%(address_hashes)s::bytea[]) AND dead AND event = 'delivered'
GROUP BY address_hash;

-- :name verified
-- Find when some mailboxes were last verified, of accounts that have them.
SELECT address_hash, max(email_verified_at) AS at FROM accounts
WHERE address_hash = ANY(%(address_hashes)s::bytea[])
  AND email_verified_at >= coalesce(address_since, updated_at)
GROUP BY address_hash;

-- :name verified_before
-- Find when some mailboxes were last verified, of accounts that had them.
SELECT address_hash, max(verified_at) AS at
FROM (
    SELECT bucket, account_key, address_hash, min(named_at) AS since, max(verified_at) AS verified_at
    FROM named_addresses WHERE address_hash = ANY(%(address_hashes)s::bytea[])
    GROUP BY bucket, account_key, address_hash
) AS named
WHERE verified_at >= since
GROUP BY address_hash;

-- :name delivered_by_address
-- Find when a report that names one of these mailboxes said last that it takes mail.
SELECT address_hash, max(occurred_at) AS at
FROM mailbox_reports JOIN mailboxes(%(address_hashes)s::bytea[]) USING (bucket, address_hash)
WHERE event = 'delivered'
GROUP BY address_hash;

-- :name having
-- Find the accounts that have some addresses.
SELECT account_key, address_hash FROM accounts
WHERE address_hash = ANY(%(address_hashes)s::bytea[]);

-- :name having_had
-- Find the accounts that have, or had, some addresses.
SELECT account_key, address_hash FROM accounts WHERE address_hash = ANY(%(address_hashes)s::bytea[])
UNION
SELECT account_key, address_hash FROM named_addresses WHERE address_hash = ANY(%(address_hashes)s::bytea[]);

-- :name note_changed
-- Mark accounts as changed.
WITH written AS (SELECT bucket, account_key FROM listed(%(keys)s::bigint[]))
-- :include accounts_written
