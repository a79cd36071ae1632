-- :name make_incoming
-- Create the staging table for account events; it is empty at the start of a transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_accounts (
    position integer, property text, account text, email text, name text, locale text,
    time_zone text, status text, contact text, minor boolean, updated_at timestamptz,
    address_hash bytea, alone boolean, is_personal boolean
) ON COMMIT DELETE ROWS;

-- :name clear_incoming
-- Clear the staging table of what the transaction recorded before.
DELETE FROM incoming_accounts;

-- :name copy_incoming
-- Stage account events.
COPY incoming_accounts FROM STDIN;

-- :name add
-- Add the accounts that are simply new, and the begin of their history. Each row has their number;
-- there is one for each other event that differs from the known profiles, or else one of nulls.
WITH compared AS MATERIALIZED (
-- :include compared_accounts
), added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, contact, minor, email,
                          name, locale, time_zone, updated_at, address_hash)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account, status, contact,
           minor, email, name, locale, time_zone, updated_at, address_hash
    FROM compared CROSS JOIN LATERAL bucket_of_name(property, account) AS bucket
    WHERE account_key IS NULL AND alone
    ORDER BY property, account
    RETURNING bucket, account_key, updated_at, status, contact, minor
), history AS (
    INSERT INTO account_history (bucket, account_key, since, status, contact, minor)
    SELECT bucket, account_key, updated_at, status, contact, minor FROM added
)
-- :include accounts_added
SELECT number, position, account_key, property, account, status, contact, minor, email, name,
       locale, time_zone, updated_at, is_personal
FROM (SELECT count(*) AS number FROM added) AS added
LEFT JOIN compared ON account_key IS NOT NULL OR NOT alone
ORDER BY position;

-- :name compare
-- Find the events that differ from the known profiles, all or those at some positions.
SELECT position, account_key, property, account, status, contact, minor, email, name, locale,
       time_zone, updated_at, is_personal
FROM (
-- :include compared_accounts
) AS compared
WHERE %(positions)s::integer[] IS NULL OR position = ANY(%(positions)s::integer[])
ORDER BY position;
