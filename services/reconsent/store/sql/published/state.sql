-- :name notices_of
-- Read the notices of some accounts.
{notices}
WHERE account_key = ANY(%(keys)s)
ORDER BY notices.account_key, version_id, sequence;

-- :name names_of
-- Read what some accounts are called.
SELECT account_key, property, account FROM accounts WHERE account_key = ANY(%(keys)s) ORDER BY account_key;

-- :name cohorts_of
-- Read what decides about permissions of some accounts.
SELECT account_key, property, account, holdings_id, standing_id, status, contact, minor
FROM accounts WHERE account_key = ANY(%(keys)s) ORDER BY account_key;

-- :name of_accounts
-- Read how the owners of some accounts left.
SELECT unsubscribe_id, property, account, reason, channel, occurred_at
FROM unsubscribes JOIN accounts USING (account_key)
WHERE account_key = ANY(%(keys)s) ORDER BY unsubscribe_id;
