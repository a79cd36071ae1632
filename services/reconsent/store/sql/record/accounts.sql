-- :name ensure
-- Add a stub for each unknown account.
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account
    FROM (
        SELECT DISTINCT bucket_of_name(property, account) AS bucket, property, account
        FROM unnest(%(properties)s::text[], %(accounts)s::text[]) AS named (property, account)
    ) AS named
    LEFT JOIN accounts AS known USING (bucket, property, account)
    WHERE known.account_key IS NULL
    ORDER BY property, account
    ON CONFLICT DO NOTHING
    RETURNING bucket, account_key
)
-- :include accounts_added
SELECT FROM added;

-- :name find
-- Find the keys of accounts.
SELECT account_key FROM accounts
WHERE (bucket, property, account) IN (
    SELECT bucket_of_name(property, account), property, account
    FROM unnest(%(properties)s::text[], %(accounts)s::text[]) AS named (property, account));

-- :name lock
-- Lock accounts of one bucket, in key order to avoid deadlocks, and read their profiles.
SELECT account_key, property, account, status, contact, minor, email, name, locale, time_zone,
       updated_at, deleted_at, stated_at
FROM accounts WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
ORDER BY account_key FOR NO KEY UPDATE;

-- :name make_staged
-- Create the staging table for changed profiles; it is empty at the start of a transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_accounts (
    account_key bigint, property text, account text, status text, contact text, minor boolean,
    email text, name text, locale text, time_zone text, updated_at timestamptz,
    deleted_at timestamptz, address_hash bytea, stated_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name copy_staged
-- Stage changed profiles.
COPY staged_accounts FROM STDIN (FORMAT BINARY);

-- :name add_profiles
-- Add the new accounts; one that another transaction has just added is not returned.
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, contact, minor, email,
                          name, locale, time_zone, updated_at, deleted_at, address_hash, stated_at)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account, status, contact,
           minor, email, name, locale, time_zone, updated_at, deleted_at, address_hash, stated_at
    FROM staged_accounts CROSS JOIN LATERAL bucket_of_name(property, account) AS bucket
    WHERE account_key IS NULL
    ORDER BY property, account
    ON CONFLICT DO NOTHING
    RETURNING bucket, account_key, property, account
)
-- :include accounts_added
SELECT account_key, property, account FROM added;

-- :name write_profiles
-- Write the changed profiles; a deleted account holds nothing.
WITH written AS (
    UPDATE accounts SET
        status = staged.status, contact = staged.contact, minor = staged.minor,
        email = staged.email, name = staged.name, locale = staged.locale,
        time_zone = staged.time_zone, address_hash = staged.address_hash,
        address_since = CASE WHEN accounts.address_hash = staged.address_hash
                             THEN coalesce(accounts.address_since, accounts.updated_at) END,
        email_verified_at = CASE WHEN accounts.address_hash = staged.address_hash
                                 THEN accounts.email_verified_at END,
        updated_at = staged.updated_at, deleted_at = staged.deleted_at,
        stated_at = staged.stated_at
    FROM staged_accounts AS staged
    WHERE accounts.bucket = bucket_of(staged.account_key)
      AND accounts.account_key = staged.account_key
    RETURNING accounts.bucket, accounts.account_key
), emptied AS (
    UPDATE account_sets SET holdings_id = 0
    FROM staged_accounts AS staged
    WHERE account_sets.bucket = bucket_of(staged.account_key)
      AND account_sets.account_key = staged.account_key
      AND staged.status = 'deleted' AND holdings_id <> 0
)
-- :include accounts_written

-- :name clear_staged
-- Clear the staging table before the transaction ends.
DELETE FROM staged_accounts;
