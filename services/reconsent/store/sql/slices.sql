-- :name next_account
-- Find the first account after a key, in all buckets; null where there is none.
SELECT min(next.account_key)
FROM buckets CROSS JOIN LATERAL (
    SELECT account_key FROM accounts
    WHERE accounts.bucket = buckets.bucket AND account_key > %(after)s
    ORDER BY account_key LIMIT 1
) AS next;

-- :name accounts_between
-- Read the accounts of some properties, or of all, with keys after one and up to another.
SELECT accounts.account_key
FROM buckets JOIN accounts ON accounts.bucket = buckets.bucket
WHERE account_key > %(after)s AND account_key <= %(upto)s
  AND (%(properties)s::text[] IS NULL OR property = ANY(%(properties)s));
