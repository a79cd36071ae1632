-- :name add
-- Add unsubscribes of locked accounts, once for each mail and reason, at the earliest time; when it was
-- said last is kept too.
WITH written AS (
    INSERT INTO unsubscribes (bucket, account_key, entry, notice_id, reason, channel, occurred_at,
                              repeated_at)
    SELECT bucket_of(said.account_key), said.account_key,
           coalesce(last.entry, 0) + row_number() OVER (PARTITION BY said.account_key ORDER BY occurred_at),
           notice_id, reason, channel, occurred_at, nullif(repeated_at, occurred_at)
    FROM (
        SELECT DISTINCT ON (account_key, notice_id, reason)
               *, max(occurred_at) OVER (PARTITION BY account_key, notice_id, reason) AS repeated_at
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
        channel = CASE WHEN (excluded.occurred_at, excluded.channel)
                            < (unsubscribes.occurred_at, unsubscribes.channel)
                       THEN excluded.channel ELSE unsubscribes.channel END,
        occurred_at = least(unsubscribes.occurred_at, excluded.occurred_at),
        repeated_at = nullif(
            greatest(unsubscribes.occurred_at, unsubscribes.repeated_at, excluded.occurred_at,
                     excluded.repeated_at),
            least(unsubscribes.occurred_at, excluded.occurred_at))
    WHERE (excluded.occurred_at, excluded.channel) < (unsubscribes.occurred_at, unsubscribes.channel)
       OR greatest(excluded.occurred_at, excluded.repeated_at)
          > greatest(unsubscribes.occurred_at, unsubscribes.repeated_at)
    RETURNING bucket, account_key
)
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'unsubscribes' FROM written;

-- :name resubscribe
-- Keep that persons asked for optional mail again, and from which mail's page.
INSERT INTO resubscribes (bucket, account_key, notice_id, channel, occurred_at)
VALUES (bucket_of(%(account_key)s::bigint), %(account_key)s, %(notice_id)s, 'page', %(occurred_at)s)
ON CONFLICT DO NOTHING;

-- :name opt_in
-- Note when accounts asked for optional mail last.
UPDATE accounts SET opted_in_at = said.at
FROM unnest(%(account_key)s::bigint[], %(opted_in_at)s::timestamptz[]) AS said (account_key, at)
WHERE accounts.bucket = bucket_of(said.account_key) AND accounts.account_key = said.account_key
  AND said.at > coalesce(accounts.opted_in_at, '-infinity');

-- :name stop
-- Stop optional mail to accounts whose owners unsubscribed and have not asked for it since.
WITH written AS (
    UPDATE accounts SET unsubscribed_at = stated.latest
    FROM (
        SELECT bucket, account_key,
               max(coalesce(repeated_at, occurred_at)) FILTER (
                   WHERE coalesce(repeated_at, occurred_at) >= coalesce(opted_in_at, '-infinity'))
                   AS latest
        FROM unsubscribes JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
        JOIN accounts USING (bucket, account_key)
        WHERE reason = 'unsubscribed' GROUP BY bucket, account_key
    ) AS stated
    WHERE accounts.bucket = stated.bucket AND accounts.account_key = stated.account_key
      AND accounts.unsubscribed_at IS DISTINCT FROM stated.latest
    RETURNING accounts.bucket, accounts.account_key
)
-- :include accounts_written
