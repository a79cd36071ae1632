-- :name next_accounts
-- Read the next slice of accounts of some properties.
SELECT account_key FROM accounts
WHERE account_key > %(after)s AND property = ANY(%(properties)s)
ORDER BY account_key LIMIT %(limit)s;
