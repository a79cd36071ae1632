-- :name add
-- Add unsubscribes of locked accounts, once for each mail and reason, at the earliest time.
WITH written AS (
    INSERT INTO unsubscribes (bucket, account_key, entry, notice_id, reason, channel, occurred_at)
    SELECT bucket_of(said.account_key), said.account_key,
           coalesce(last.entry, 0) + row_number() OVER (PARTITION BY said.account_key ORDER BY occurred_at),
           notice_id, reason, channel, occurred_at
    FROM (
        SELECT DISTINCT ON (account_key, notice_id, reason) *
        FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(reason)s::text[],
                    %(channel)s::text[], %(occurred_at)s::timestamptz[])
             AS incoming (account_key, notice_id, reason, channel, occurred_at)
        ORDER BY account_key, notice_id, reason, occurred_at, channel
    ) AS said
    LEFT JOIN (
        SELECT bucket, account_key, max(entry) AS entry
        FROM unsubscribes JOIN listed(%(account_key)s::bigint[]) USING (bucket, account_key)
        GROUP BY bucket, account_key
    ) AS last ON last.bucket = bucket_of(said.account_key) AND last.account_key = said.account_key
    ON CONFLICT (bucket, account_key, notice_id, reason) DO UPDATE SET
        channel = excluded.channel, occurred_at = excluded.occurred_at
    WHERE (excluded.occurred_at, excluded.channel) < (unsubscribes.occurred_at, unsubscribes.channel)
    RETURNING bucket, account_key
)
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'unsubscribes' FROM written;

-- :name stop
-- Stop optional mail to accounts whose owners unsubscribed.
WITH written AS (
    UPDATE accounts SET unsubscribed_at = stated.latest
    FROM (
        SELECT bucket, account_key, max(occurred_at) AS latest
        FROM unsubscribes JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
        WHERE reason = 'unsubscribed' GROUP BY bucket, account_key
    ) AS stated
    WHERE accounts.bucket = stated.bucket AND accounts.account_key = stated.account_key
      AND accounts.unsubscribed_at IS DISTINCT FROM stated.latest
    RETURNING accounts.bucket, accounts.account_key
)
-- :include accounts_written
