-- An unsubscribe that names an address counts for each account that names this, before or after it.
-- RULES 15.

CREATE INDEX mailbox_reports_unsubscribed ON mailbox_reports (bucket, address_hash)
    WHERE event = 'unsubscribed';

-- Until now it counted only for the accounts that had the address when it was recorded.
CREATE TEMPORARY TABLE left_by_address ON COMMIT DROP AS
WITH reports AS (
    SELECT address_hash, min(occurred_at) AS first, max(occurred_at) AS last
    FROM mailbox_reports WHERE event = 'unsubscribed' GROUP BY address_hash
)
SELECT bucket, account_key, min(first) AS first, max(last) AS last
FROM (
    SELECT bucket, account_key, first, last FROM accounts JOIN reports USING (address_hash)
    UNION ALL
    SELECT bucket, account_key, first, last FROM named_addresses JOIN reports USING (address_hash)
) AS named
GROUP BY bucket, account_key;

WITH written AS (
    INSERT INTO unsubscribes (bucket, account_key, entry, reason, channel, occurred_at, repeated_at)
    SELECT bucket, account_key,
           1 + coalesce((SELECT max(entry) FROM unsubscribes AS known
                         WHERE known.bucket = named.bucket
                           AND known.account_key = named.account_key), 0),
           'unsubscribed', 'provider', first, nullif(last, first)
    FROM left_by_address AS named
    ON CONFLICT (bucket, account_key, notice_id, reason) DO UPDATE SET
        occurred_at = least(unsubscribes.occurred_at, excluded.occurred_at),
        repeated_at = nullif(
            greatest(unsubscribes.occurred_at, unsubscribes.repeated_at, excluded.occurred_at,
                     excluded.repeated_at),
            least(unsubscribes.occurred_at, excluded.occurred_at))
    WHERE excluded.occurred_at < unsubscribes.occurred_at
       OR greatest(excluded.occurred_at, excluded.repeated_at)
          > greatest(unsubscribes.occurred_at, unsubscribes.repeated_at)
    RETURNING bucket, account_key
)
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'unsubscribes' FROM written;

WITH written AS (
    UPDATE accounts SET unsubscribed_at = greatest(unsubscribed_at, named.last)
    FROM left_by_address AS named
    WHERE accounts.bucket = named.bucket AND accounts.account_key = named.account_key
      AND named.last >= coalesce(opted_in_at, '-infinity')
      AND named.last > coalesce(unsubscribed_at, '-infinity')
    RETURNING accounts.bucket, accounts.account_key
)
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'accounts' FROM written;
