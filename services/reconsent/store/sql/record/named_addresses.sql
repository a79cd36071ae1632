-- :name keep_present
-- Keep since when accounts have named their addresses, and when these were last verified, unless that is
-- kept already.
INSERT INTO named_addresses (bucket, account_key, address_hash, named_at, verified_at)
SELECT bucket, account_key, address_hash, coalesce(address_since, updated_at), email_verified_at
FROM accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
WHERE address_hash IS NOT NULL AND NOT (
    EXISTS (SELECT FROM named_addresses AS named
            WHERE named.bucket = accounts.bucket AND named.account_key = accounts.account_key
              AND named.address_hash = accounts.address_hash
              AND named_at <= coalesce(address_since, updated_at))
    AND (email_verified_at IS NULL OR EXISTS (
        SELECT FROM named_addresses AS named
        WHERE named.bucket = accounts.bucket AND named.account_key = accounts.account_key
          AND named.address_hash = accounts.address_hash AND verified_at >= email_verified_at)))
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

-- :name end_moved
-- Take out namings that count from earlier on, unless others count from then.
DELETE FROM named_addresses
USING unnest(%(account_key)s::bigint[], %(address_hash)s::bytea[], %(before)s::timestamptz[],
             %(shared)s::boolean[]) AS moved (account_key, address_hash, before, shared)
WHERE named_addresses.bucket = bucket_of(moved.account_key)
  AND named_addresses.account_key = moved.account_key
  AND named_addresses.address_hash = moved.address_hash AND named_at = before AND NOT shared;

-- :name unverify_moved
-- Where others do, it is not known which of them stated the verification: none is the safe answer.
UPDATE named_addresses SET verified_at = NULL
FROM unnest(%(account_key)s::bigint[], %(address_hash)s::bytea[], %(before)s::timestamptz[],
            %(at)s::timestamptz[], %(shared)s::boolean[])
     AS moved (account_key, address_hash, before, at, shared)
WHERE named_addresses.bucket = bucket_of(moved.account_key)
  AND named_addresses.account_key = moved.account_key
  AND named_addresses.address_hash = moved.address_hash AND named_at = before AND shared
  AND verified_at > at;

-- :name hold_again
-- Let marks hold again that were lifted by verifications between the times of namings that count from
-- earlier on; return their mailboxes.
UPDATE mailbox_marks SET lifted_at = NULL, lifted_for = NULL
FROM unnest(%(address_hash)s::bytea[], %(before)s::timestamptz[], %(at)s::timestamptz[])
     AS moved (address_hash, before, at)
WHERE mailbox_marks.bucket = bucket_of_hash(moved.address_hash)
  AND mailbox_marks.address_hash = moved.address_hash
  AND lifted_for = 'verified' AND lifted_at > at AND lifted_at <= before
RETURNING mailbox_marks.address_hash;

-- :name note
-- Note with accounts what is kept of the addresses that they have.
UPDATE accounts SET address_since = named.since, email_verified_at = named.verified_at
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
FROM named_addresses
JOIN unnest(%(account_key)s::bigint[], %(until)s::timestamptz[]) AS gone (account_key, until)
     ON named_addresses.bucket = bucket_of(gone.account_key)
    AND named_addresses.account_key = gone.account_key
JOIN accounts ON accounts.bucket = named_addresses.bucket
             AND accounts.account_key = named_addresses.account_key
WHERE minor OR named_at <= greatest(deleted_at, until);

-- :name forget
-- Forget what was named and verified up to the deletion of some accounts, or as long as they were
-- minors'; of those that still are, all.
DELETE FROM named_addresses
USING accounts JOIN unnest(%(account_key)s::bigint[], %(until)s::timestamptz[])
                    AS gone (account_key, until)
               ON accounts.bucket = bucket_of(gone.account_key)
              AND accounts.account_key = gone.account_key
WHERE named_addresses.bucket = accounts.bucket
  AND named_addresses.account_key = accounts.account_key
  AND (minor OR named_at <= greatest(deleted_at, until));

-- :name forget_noted
-- Forget the same of the address that such an account has again: it has named it since it did so first
-- after that, or else in the profile that it has now.
UPDATE accounts SET
    address_since = CASE WHEN address_since > greatest(deleted_at, until) THEN address_since ELSE (
        SELECT min(named_at) FROM named_addresses AS named
        WHERE named.bucket = accounts.bucket AND named.account_key = accounts.account_key
          AND named.address_hash = accounts.address_hash) END,
    email_verified_at = CASE WHEN email_verified_at > greatest(deleted_at, until)
                             THEN email_verified_at END
FROM unnest(%(account_key)s::bigint[], %(until)s::timestamptz[]) AS gone (account_key, until)
WHERE accounts.bucket = bucket_of(gone.account_key) AND accounts.account_key = gone.account_key
  AND (address_since <= greatest(deleted_at, until)
       OR email_verified_at <= greatest(deleted_at, until));

-- :name try_again
-- Look again at questions that did not reach the mailboxes that accounts have again.
UPDATE notices SET again = NULL
FROM accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
WHERE notices.bucket = accounts.bucket AND notices.account_key = accounts.account_key
  AND notices.address_hash = accounts.address_hash AND undelivered AND again = 'given_up';
