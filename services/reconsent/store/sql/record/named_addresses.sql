-- :name keep_present
-- Keep since when accounts have named their addresses, and when these were last verified.
INSERT INTO named_addresses (bucket, account_key, address_hash, named_at, verified_at)
SELECT bucket, account_key, address_hash, coalesce(address_since, updated_at), email_verified_at
FROM accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
WHERE address_hash IS NOT NULL
ON CONFLICT (bucket, account_key, address_hash, named_at) DO UPDATE SET
    verified_at = excluded.verified_at
WHERE excluded.verified_at > coalesce(named_addresses.verified_at, '-infinity');

-- :name name
-- Keep when accounts named addresses, and when these had been verified by then.
INSERT INTO named_addresses (bucket, account_key, address_hash, named_at, verified_at)
SELECT bucket_of(account_key), account_key, address_hash, named_at, verified_at
FROM unnest(%(account_key)s::bigint[], %(address_hash)s::bytea[], %(named_at)s::timestamptz[],
            %(verified_at)s::timestamptz[])
     AS named (account_key, address_hash, named_at, verified_at)
ON CONFLICT (bucket, account_key, address_hash, named_at) DO UPDATE SET
    verified_at = excluded.verified_at
WHERE excluded.verified_at > coalesce(named_addresses.verified_at, '-infinity');

-- :name prune
-- Keep of each address the first naming, the one with the latest verification, and those of the 30 days
-- up to the last.
DELETE FROM named_addresses USING (
    SELECT bucket, account_key, address_hash, min(named_at) AS first, max(named_at) AS last,
           (array_agg(named_at ORDER BY verified_at DESC NULLS LAST, named_at DESC))[1] AS verified
    FROM named_addresses JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
    GROUP BY bucket, account_key, address_hash
) AS named
WHERE named_addresses.bucket = named.bucket
  AND named_addresses.account_key = named.account_key
  AND named_addresses.address_hash = named.address_hash
  AND named_at NOT IN (first, verified) AND last - named_at >= interval '30 days';

-- :name note
-- Note with accounts what is kept of the addresses that they have.
UPDATE accounts SET
    address_since = least(coalesce(accounts.address_since, accounts.updated_at), named.since),
    email_verified_at = greatest(accounts.email_verified_at, named.verified_at)
FROM (
    SELECT bucket, account_key, address_hash, min(named_at) AS since, max(verified_at) AS verified_at
    FROM named_addresses JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
    GROUP BY bucket, account_key, address_hash
) AS named
WHERE accounts.bucket = named.bucket AND accounts.account_key = named.account_key
  AND accounts.address_hash = named.address_hash;

-- :name forgotten
-- Find the addresses that are about to be forgotten.
SELECT DISTINCT named_addresses.address_hash
FROM named_addresses JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
JOIN accounts USING (bucket, account_key)
WHERE minor OR named_at <= deleted_at;

-- :name forget
-- Forget what was named and verified up to the deletion of some accounts; of minors, all.
DELETE FROM named_addresses
USING accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
WHERE named_addresses.bucket = accounts.bucket
  AND named_addresses.account_key = accounts.account_key AND (minor OR named_at <= deleted_at);

-- :name forget_noted
-- Forget the same of the address that such an account has again: it has named it since it did so first
-- after the deletion, or else in the profile that it has now.
UPDATE accounts SET
    address_since = CASE WHEN address_since > deleted_at THEN address_since ELSE (
        SELECT min(named_at) FROM named_addresses AS named
        WHERE named.bucket = accounts.bucket AND named.account_key = accounts.account_key
          AND named.address_hash = accounts.address_hash) END,
    email_verified_at = CASE WHEN email_verified_at > deleted_at THEN email_verified_at END
FROM listed(%(keys)s::bigint[])
WHERE accounts.bucket = listed.bucket AND accounts.account_key = listed.account_key
  AND (address_since <= deleted_at OR email_verified_at <= deleted_at);

-- :name try_again
-- Look again at questions that did not reach the mailboxes that accounts have again.
UPDATE notices SET again = NULL
FROM accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
WHERE notices.bucket = accounts.bucket AND notices.account_key = accounts.account_key
  AND notices.address_hash = accounts.address_hash AND undelivered AND again = 'given_up';
