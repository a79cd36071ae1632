-- :name notices_of
-- Read the notices of some accounts.
{notices}
JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
ORDER BY account_key, version_id, sequence;

-- :name names_of
-- Read what some accounts are called.
SELECT account_key, property, account
FROM accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
ORDER BY account_key;

-- :name cohorts_of
-- Read what decides about permissions of some accounts.
SELECT account_key, property, account, holdings_id, standing_id, status, contact, minor
FROM listed(%(keys)s::bigint[])
JOIN accounts USING (bucket, account_key) JOIN account_sets USING (bucket, account_key)
ORDER BY account_key;

-- :name of_accounts
-- Read how the owners of some accounts left.
SELECT account_key, entry, property, account, reason, channel, occurred_at
FROM listed(%(keys)s::bigint[])
JOIN unsubscribes USING (bucket, account_key) JOIN accounts USING (bucket, account_key)
ORDER BY account_key, entry;
