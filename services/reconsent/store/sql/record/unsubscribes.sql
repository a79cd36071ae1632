-- :name lock
-- Lock the accounts that some notices are of, always in the same order.
SELECT account_key FROM accounts
WHERE account_key IN (SELECT account_key FROM notices WHERE notice_id = ANY(%(notice_id)s))
ORDER BY account_key FOR NO KEY UPDATE;

-- :name add
-- Add unsubscribes, once for each mail and reason, at the earliest time.
WITH written AS (
    INSERT INTO unsubscribes (account_key, notice_id, reason, channel, occurred_at)
    SELECT DISTINCT ON (notice_id, incoming.reason)
           account_key, notice_id, incoming.reason, incoming.channel, incoming.occurred_at
    FROM unnest(%(notice_id)s::uuid[], %(reason)s::text[], %(channel)s::text[],
                %(occurred_at)s::timestamptz[]) AS incoming (notice_id, reason, channel, occurred_at)
    JOIN notices USING (notice_id)
    ORDER BY notice_id, incoming.reason, incoming.occurred_at, incoming.channel
    ON CONFLICT (notice_id, reason) DO UPDATE SET
        channel = excluded.channel, occurred_at = excluded.occurred_at
    WHERE (excluded.occurred_at, excluded.channel) < (unsubscribes.occurred_at, unsubscribes.channel)
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'unsubscribes' FROM written;

-- :name stop
-- Stop optional mail to accounts whose owners unsubscribed.
WITH written AS (
    UPDATE accounts SET unsubscribed_at = stated.latest
    FROM (
        SELECT account_key, max(occurred_at) AS latest FROM unsubscribes
        WHERE account_key = ANY(%(keys)s) AND reason = 'unsubscribed' GROUP BY account_key
    ) AS stated
    WHERE accounts.account_key = stated.account_key
      AND accounts.unsubscribed_at IS DISTINCT FROM stated.latest
    RETURNING accounts.account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'accounts' FROM written;
