-- :name lock_accounts
-- Lock the accounts of the notices that reports are about.
SELECT account_key FROM accounts
WHERE account_key IN (SELECT account_key FROM notices WHERE notice_id = ANY(%(notice_ids)s))
ORDER BY account_key FOR NO KEY UPDATE;

-- :name lock
-- Lock the notices that reports are about; those never handed to a provider have none. Providers'
-- texts about deleted accounts and minors are not kept (`forgotten`).
SELECT notice_id, account_key, notices.address_hash, dead OR minor AS forgotten
FROM notices JOIN accounts USING (account_key)
WHERE notice_id = ANY(%(notice_ids)s) AND attempt_id IS NOT NULL
ORDER BY notice_id FOR NO KEY UPDATE OF notices;

-- :name add
-- Add reports; a repeated one adds nothing. For deleted accounts and minors the text is left out,
-- except the mark that the address is not to blame.
INSERT INTO mail_events (notice_id, event, occurred_at, reason, provider_id)
SELECT notice_id, incoming.event, incoming.occurred_at,
       CASE WHEN NOT (dead OR minor) THEN incoming.reason
            WHEN starts_with(incoming.reason, %(not_the_address)s) THEN %(not_the_address)s END,
       incoming.provider_id
FROM unnest(%(notice_id)s::uuid[], %(event)s::text[], %(occurred_at)s::timestamptz[],
            %(reason)s::text[], %(provider_id)s::text[])
     AS incoming (notice_id, event, occurred_at, reason, provider_id)
JOIN notices USING (notice_id) JOIN accounts USING (account_key)
ON CONFLICT DO NOTHING
RETURNING notice_id, event, occurred_at,
          event IN ('bounced', 'dropped')
          AND NOT starts_with(coalesce(reason, ''), %(not_the_address)s) AS address_lost;

-- :name apply
-- Derive notices' states from all their reports, in any order.
WITH written AS (
    UPDATE notices SET
        state = CASE
            WHEN complained AND state <> 'rejected' THEN 'complained'
            WHEN failed AND state <> 'rejected' THEN 'bounced'
            WHEN delivered AND state NOT IN ('rejected', 'bounced') THEN 'delivered'
            WHEN state IN ('attempting', 'unknown', 'abandoned', 'due') THEN 'accepted'
            ELSE state END,
        accepted_at = coalesce(accepted_at, earliest),
        undelivered = undelivered OR failed,
        -- A retry is not needed: the provider has the mail.
        not_before = NULL
    FROM (
        SELECT notice_id, min(occurred_at) AS earliest, bool_or(event = 'complained') AS complained,
               bool_or(event IN ('bounced', 'dropped')) AS failed,
               bool_or(event = 'delivered') AS delivered
        FROM mail_events WHERE notice_id = ANY(%(notice_ids)s) GROUP BY notice_id
    ) AS reported
    WHERE notices.notice_id = reported.notice_id
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name undeliver_reminded
-- If a reminder was not delivered, neither is its notice: nobody reads that address.
WITH written AS (
    UPDATE notices SET undelivered = true
    FROM notices AS reminder
    WHERE reminder.notice_id = ANY(%(notice_ids)s) AND reminder.undelivered
      AND notices.notice_id = reminder.about AND NOT notices.undelivered
    RETURNING notices.account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name bounce
-- Record bounced addresses.
INSERT INTO bounced_addresses (address_hash)
SELECT address_hash FROM unnest(%(addresses)s::bytea[]) AS address_hash ORDER BY address_hash
ON CONFLICT DO NOTHING;

-- :name rejected_addresses
-- Find the addresses that a provider rejected in an attempt.
SELECT notice_id, address_hash FROM notices
WHERE attempt_id = %(attempt_id)s AND state = 'rejected' AND address_hash IS NOT NULL;

-- :name touch
-- Mark accounts as changed: those of some notices, and those with some addresses. A complaint stops
-- mail until a deletion dated after it, in whatever order they arrive.
WITH touched AS (
    SELECT account_key, complaints.complained_at
    FROM accounts
    LEFT JOIN unnest(%(complaining)s::bigint[], %(complained_at)s::timestamptz[])
              AS complaints (account_key, complained_at) USING (account_key)
    WHERE account_key = ANY(%(keys)s) OR address_hash = ANY(%(addresses)s)
    ORDER BY account_key FOR NO KEY UPDATE OF accounts
), complained AS (
    UPDATE accounts SET complained_at = greatest(accounts.complained_at, touched.complained_at)
    FROM touched
    WHERE accounts.account_key = touched.account_key AND touched.complained_at IS NOT NULL
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'accounts' FROM touched;
