-- :name history
-- Read all that was ever said of accounts.
SELECT account_key, since, status, contact, minor
FROM account_history JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key);

-- :name write_history
-- Append what was said to the history.
COPY account_history (bucket, account_key, since, status, contact, minor, stated_at)
FROM STDIN (FORMAT BINARY);
