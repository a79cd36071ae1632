-- :name states
-- Read all states that were ever said of accounts.
SELECT account_key, since, status, contact, minor, stated_at
FROM account_history JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key);

-- :name whole
-- Read the statements about accounts that are kept as a whole.
SELECT account_key, stated_at, counts_from, status, contact, email, name, locale, time_zone
FROM account_statements JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key);

-- :name forget
-- Erase the statements about accounts.
DELETE FROM account_statements USING listed(%(keys)s::bigint[])
WHERE account_statements.bucket = listed.bucket
  AND account_statements.account_key = listed.account_key;

-- :name keep
-- Keep statements as a whole.
COPY account_statements (bucket, account_key, stated_at, counts_from, status, contact, email, name,
                         locale, time_zone)
FROM STDIN (FORMAT BINARY);

-- :name add_states
-- Append what was said to the history.
COPY account_history (bucket, account_key, since, status, contact, minor, stated_at)
FROM STDIN (FORMAT BINARY);

-- :name opted_in_earlier
-- Correct when accounts asked for optional mail last, where that was said by a statement which turns
-- out to count from earlier on.
UPDATE accounts SET opted_in_at = greatest(said.at, (
    SELECT max(occurred_at) FROM resubscribes
    WHERE resubscribes.bucket = accounts.bucket AND resubscribes.account_key = accounts.account_key))
FROM unnest(%(account_key)s::bigint[], %(at)s::timestamptz[], %(before)s::timestamptz[])
     AS said (account_key, at, before)
WHERE accounts.bucket = bucket_of(said.account_key) AND accounts.account_key = said.account_key
  AND opted_in_at > said.at AND opted_in_at <= said.before;
