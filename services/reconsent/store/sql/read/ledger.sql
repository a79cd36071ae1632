-- :name ledger
-- Read the origin of accounts' ledger entries, in the ledger's order.
SELECT account_key, entry, policy_version, channel, notice_id::text AS notice, text_hash,
       recorded_at
FROM consents JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
ORDER BY account_key, entry;

-- :name account
-- Find an account's key.
SELECT account_key FROM accounts
WHERE bucket = bucket_of_name(%(property)s, %(account)s)
  AND property = %(property)s AND account = %(account)s;
