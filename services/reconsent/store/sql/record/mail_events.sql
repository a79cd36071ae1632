-- :name lock
-- Lock the notices of a bucket that reports are about; those never handed to a provider have none.
-- Providers' texts about deleted accounts and minors are not kept (`forgotten`).
SELECT notice_id, account_key, notices.address_hash, dead OR minor AS forgotten
FROM notices JOIN accounts USING (bucket, account_key)
WHERE notices.bucket = %(bucket)s AND notices.account_key = ANY(%(keys)s::bigint[])
  AND notice_id = ANY(%(notice_ids)s::uuid[]) AND attempt_id IS NOT NULL
ORDER BY account_key, version_id, sequence FOR NO KEY UPDATE OF notices;

-- :name planned
-- Find the notices that exist, of those that reports are about.
SELECT notice_id FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
JOIN notices USING (bucket, account_key, notice_id);

-- :name add
-- Add reports; a repeated one adds nothing. For deleted accounts and minors the text is left out,
-- except the mark that the address is not to blame.
WITH added AS (
    INSERT INTO mail_events (bucket, account_key, notice_id, event, occurred_at, reason,
                             provider_id)
    SELECT bucket_of(account_key), account_key, notice_id, event, occurred_at,
           CASE WHEN NOT forgotten THEN reason
                WHEN starts_with(reason, %(not_the_address)s) THEN %(not_the_address)s END,
           provider_id
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(event)s::text[],
                %(occurred_at)s::timestamptz[], %(reason)s::text[], %(provider_id)s::text[],
                %(forgotten)s::boolean[])
         AS incoming (account_key, notice_id, event, occurred_at, reason, provider_id, forgotten)
    ON CONFLICT DO NOTHING
    RETURNING notice_id, event, occurred_at, reason
)
SELECT notice_id, event, occurred_at,
       event IN ('bounced', 'dropped')
       AND NOT starts_with(coalesce(reason, ''), %(not_the_address)s) AS address_lost
FROM added;

-- :name apply
-- Derive the states of notices, which are locked, from all their reports, in any order.
WITH reported AS (
    SELECT notices.bucket, notices.account_key, notices.version_id, notices.sequence, notices.state,
           notices.suppression, min(occurred_at) AS earliest,
           bool_or(event = 'complained') AS complained,
           bool_or(event IN ('bounced', 'dropped')) AS failed,
           bool_or(event = 'delivered') AS delivered
    FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
    JOIN notices USING (bucket, account_key, notice_id)
    JOIN mail_events USING (bucket, account_key, notice_id)
    GROUP BY notices.bucket, notices.account_key, notices.version_id, notices.sequence
), written AS (
    UPDATE notices SET
        state = CASE
            WHEN complained AND reported.state <> 'rejected' THEN 'complained'
            WHEN failed AND reported.state <> 'rejected' THEN 'bounced'
            WHEN delivered AND reported.state NOT IN ('rejected', 'bounced') THEN 'delivered'
            WHEN reported.state IN ('attempting', 'unknown', 'abandoned', 'due') THEN 'accepted'
            ELSE reported.state END,
        -- Put off, then suppressed, and yet it was sent.
        suppression = CASE WHEN NOT (complained OR failed OR delivered)
                           THEN reported.suppression END,
        accepted_at = coalesce(accepted_at, earliest),
        undelivered = undelivered OR failed,
        -- A retry is not needed: the provider has the mail.
        not_before = NULL
    FROM reported
    WHERE notices.bucket = reported.bucket AND notices.account_key = reported.account_key
      AND notices.version_id = reported.version_id AND notices.sequence = reported.sequence
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, reported.state AS was_state,
              reported.suppression AS was_suppression
)
-- :include notices_written

-- :name undeliver_reminded
-- If a reminder was not delivered, neither is its notice: nobody reads that address.
WITH written AS (
    UPDATE notices SET undelivered = true
    FROM notices AS reminder
    JOIN listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
         USING (bucket, account_key, notice_id)
    WHERE reminder.undelivered
      AND notices.bucket = reminder.bucket AND notices.account_key = reminder.account_key
      AND notices.notice_id = reminder.about AND NOT notices.undelivered
    RETURNING notices.bucket, notices.account_key
)
-- :include notices_changed

-- :name mark_bounced
-- Mark mailboxes as bounced, also those whose mark was lifted.
INSERT INTO mailbox_marks (bucket, address_hash, mark)
SELECT bucket_of_hash(address_hash), address_hash, 'bounced'
FROM unnest(%(addresses)s::bytea[]) AS address_hash ORDER BY address_hash
ON CONFLICT (bucket, address_hash, mark) DO UPDATE
SET marked_at = excluded.marked_at, lifted_at = NULL, lifted_for = NULL
WHERE mailbox_marks.lifted_at IS NOT NULL;

-- :name rejected_addresses
-- Find the addresses that a provider rejected in an attempt.
SELECT account_key, notice_id, address_hash FROM notices
JOIN listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
     USING (bucket, account_key, notice_id)
WHERE attempt_id = %(attempt_id)s AND state = 'rejected' AND address_hash IS NOT NULL;

-- :name having_addresses
-- Find the accounts that have some addresses.
SELECT account_key FROM accounts WHERE address_hash = ANY(%(addresses)s::bytea[]);

-- :name complain
-- Record complaints. They stop mail until a deletion dated after them, in whatever order they arrive.
UPDATE accounts SET complained_at = greatest(accounts.complained_at, said.complained_at)
FROM unnest(%(complaining)s::bigint[], %(complained_at)s::timestamptz[])
     AS said (account_key, complained_at)
WHERE accounts.bucket = bucket_of(said.account_key)
  AND accounts.account_key = said.account_key;

-- :name touch
-- Mark accounts as changed.
WITH written AS (SELECT bucket, account_key FROM listed(%(keys)s::bigint[]))
-- :include accounts_written
