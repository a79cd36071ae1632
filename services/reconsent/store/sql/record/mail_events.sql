-- :name lock
-- Lock the notices of a bucket that reports are about; those never handed to a provider have none.
-- Providers' texts about deleted accounts and minors are not kept (`forgotten`).
SELECT notice_id, account_key, notices.address_hash, dead OR minor AS forgotten, attempt_id
FROM notices JOIN accounts USING (bucket, account_key)
WHERE notices.bucket = %(bucket)s AND notices.account_key = ANY(%(keys)s::bigint[])
  AND notice_id = ANY(%(notice_ids)s::uuid[]) AND attempt_id IS NOT NULL
ORDER BY account_key, version_id, sequence FOR NO KEY UPDATE OF notices;

-- :name begun
-- Find when attempts began.
SELECT attempt_id, started_at FROM attempts WHERE attempt_id = ANY(%(attempts)s::bigint[]);

-- :name mailboxes
-- Find the mailboxes that notices went to.
SELECT notice_id, address_hash FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
JOIN notices USING (bucket, account_key, notice_id) WHERE address_hash IS NOT NULL;

-- :name planned
-- Find the notices that exist, of those that reports are about.
SELECT notice_id FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
JOIN notices USING (bucket, account_key, notice_id);

-- :name add
-- Add reports; a repeated one adds nothing.
INSERT INTO mail_events (bucket, account_key, notice_id, event, occurred_at, reason, provider_id)
SELECT bucket_of(account_key), account_key, notice_id, event, occurred_at, reason, provider_id
FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(event)s::text[],
            %(occurred_at)s::timestamptz[], %(reason)s::text[], %(provider_id)s::text[])
     AS incoming (account_key, notice_id, event, occurred_at, reason, provider_id)
ON CONFLICT DO NOTHING
RETURNING notice_id, event, occurred_at, reason;

-- :name apply
-- Derive the states of notices, which are locked, from all their reports, in any order.
WITH reported AS (
    SELECT notices.bucket, notices.account_key, notices.version_id, notices.sequence, notices.state,
           notices.suppression,
           -- It was accepted no earlier than it was attempted, whatever a provider's clock says.
           coalesce(accepted_at, greatest(min(occurred_at), attempted_at)) AS accepted,
           bool_or(event = 'complained') AS complained,
           bool_or(event IN ('bounced', 'dropped')) AS failed,
           -- A mail fails no earlier than it was accepted, whatever a server's clock says: what
           -- had spoken for the mailbox before is no reason to ask again.
           CASE WHEN bool_or(event IN ('bounced', 'dropped'))
                THEN greatest(max(occurred_at) FILTER (WHERE event IN ('bounced', 'dropped')),
                              accepted_at, attempted_at) END AS failed_at,
           bool_or(event = 'delivered') AS delivered,
           CASE WHEN bool_or(event = 'delivered')
                THEN greatest(max(occurred_at) FILTER (WHERE event = 'delivered'),
                              accepted_at, attempted_at) END AS delivered_at,
           -- What is reported as delivered when it failed has arrived: it is not mailed again. By
           -- the same clock, which may be behind.
           max(occurred_at) FILTER (WHERE event = 'delivered')
               >= max(occurred_at) FILTER (WHERE event IN ('bounced', 'dropped')) AS arrived_since
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(attempted_at)s::timestamptz[])
         AS said (account_key, notice_id, attempted_at)
    JOIN notices ON notices.bucket = bucket_of(said.account_key)
                AND notices.account_key = said.account_key
                AND notices.notice_id = said.notice_id
    JOIN mail_events ON mail_events.bucket = notices.bucket
                    AND mail_events.account_key = notices.account_key
                    AND mail_events.notice_id = notices.notice_id
    GROUP BY notices.bucket, notices.account_key, notices.version_id, notices.sequence, attempted_at
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
        accepted_at = accepted,
        undelivered = undelivered OR failed,
        undelivered_at = greatest(undelivered_at, failed_at),
        -- What arrived after it had failed is not asked again.
        again = CASE WHEN delivered_at >= greatest(undelivered_at, failed_at)
                          AND arrived_since IS NOT FALSE THEN 'arrived'
                     WHEN again = 'arrived' AND undelivered_at = failed_at AND NOT arrived_since
                     THEN NULL
                     WHEN undelivered_at >= failed_at OR failed_at IS NULL THEN again END,
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
-- If a reminder was not delivered, neither is its notice: nobody reads that address. If it arrived
-- after it had failed, so did its notice.
WITH written AS (
    UPDATE notices SET undelivered = true,
        undelivered_at = greatest(notices.undelivered_at, reminder.undelivered_at),
        again = CASE WHEN reminder.again = 'arrived' THEN 'arrived' END
    FROM notices AS reminder
    JOIN listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
         USING (bucket, account_key, notice_id)
    WHERE reminder.undelivered
      AND notices.bucket = reminder.bucket AND notices.account_key = reminder.account_key
      AND notices.notice_id = reminder.about
      AND (NOT notices.undelivered OR notices.undelivered_at < reminder.undelivered_at
           OR (notices.undelivered_at = reminder.undelivered_at AND reminder.again = 'arrived'
               AND notices.again IS DISTINCT FROM 'arrived'))
    RETURNING notices.bucket, notices.account_key
)
-- :include notices_changed

-- :name rejected
-- Find the members of an attempt that a provider rejected.
SELECT account_key, notice_id, address_hash FROM notices
JOIN listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
     USING (bucket, account_key, notice_id)
WHERE attempt_id = %(attempt_id)s AND state = 'rejected' AND address_hash IS NOT NULL;
