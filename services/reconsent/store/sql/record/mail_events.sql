-- :name lock
-- Lock the notices that events are about; those never handed over have no events. Of deleted
-- accounts and of minors nothing that providers write is kept.
SELECT notice_id, account_key, notices.address_hash, dead OR minor AS forgotten
FROM notices JOIN accounts USING (account_key)
WHERE notice_id = ANY(%(notice_ids)s) AND attempt_id IS NOT NULL
ORDER BY notice_id FOR NO KEY UPDATE OF notices;

-- :name add
-- Keep what a provider reported; the same report again is one. Of deleted accounts and of minors its
-- words are left out, except for those that say that the address is not to blame.
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
-- A notice's state follows from all that was reported of it, in whatever order.
UPDATE notices SET
    changed = pg_current_xact_id(),
    state = CASE
        WHEN complained AND state <> 'rejected' THEN 'complained'
        WHEN failed AND state <> 'rejected' THEN 'bounced'
        WHEN delivered AND state NOT IN ('rejected', 'bounced') THEN 'delivered'
        WHEN state IN ('attempting', 'unknown', 'abandoned', 'due') THEN 'accepted'
        ELSE state END,
    accepted_at = coalesce(accepted_at, earliest),
    undelivered = undelivered OR failed,
    -- What was to be sent again is with the provider after all.
    not_before = NULL
FROM (
    SELECT notice_id, min(occurred_at) AS earliest, bool_or(event = 'complained') AS complained,
           bool_or(event IN ('bounced', 'dropped')) AS failed,
           bool_or(event = 'delivered') AS delivered
    FROM mail_events WHERE notice_id = ANY(%(notice_ids)s) GROUP BY notice_id
) AS reported
WHERE notices.notice_id = reported.notice_id;

-- :name undeliver_reminded
-- What happened to a reminder happened to its notice: nobody reads that address.
UPDATE notices SET undelivered = true, changed = pg_current_xact_id()
FROM notices AS reminder
WHERE reminder.notice_id = ANY(%(notice_ids)s) AND reminder.undelivered
  AND notices.notice_id = reminder.about AND NOT notices.undelivered;

-- :name bounce
-- Note addresses that mail does not reach.
INSERT INTO bounced_addresses (address_hash)
SELECT address_hash FROM unnest(%(addresses)s::bytea[]) AS address_hash ORDER BY address_hash
ON CONFLICT DO NOTHING;

-- :name rejected_addresses
-- Find the addresses that a provider rejected in an attempt.
SELECT notice_id, address_hash FROM notices
WHERE attempt_id = %(attempt_id)s AND state = 'rejected' AND address_hash IS NOT NULL;

-- :name touch
-- Have accounts looked at again: those of some notices, and those with some addresses. A complaint
-- stops mail until a deletion, whichever is heard of first.
UPDATE accounts SET
    complained_at = greatest(accounts.complained_at, touched.complained_at),
    changed = pg_current_xact_id()
FROM (
    SELECT account_key, complaints.complained_at
    FROM accounts
    LEFT JOIN unnest(%(complaining)s::bigint[], %(complained_at)s::timestamptz[])
              AS complaints (account_key, complained_at) USING (account_key)
    WHERE account_key = ANY(%(keys)s) OR address_hash = ANY(%(addresses)s)
    ORDER BY account_key FOR NO KEY UPDATE OF accounts
) AS touched
WHERE accounts.account_key = touched.account_key;
