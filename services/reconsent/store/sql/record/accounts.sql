-- :name ensure
-- Make a stub for each account that is not known yet.
INSERT INTO accounts (property, account)
SELECT DISTINCT property, account
FROM unnest(%(properties)s::text[], %(accounts)s::text[]) AS named (property, account)
WHERE NOT EXISTS (
    SELECT FROM accounts AS known
    WHERE known.property = named.property AND known.account = named.account)
ORDER BY property, account
ON CONFLICT DO NOTHING;

-- :name lock
-- Lock accounts against any other change, always in the same order.
SELECT account_key, property, account, status, contact, minor, email, name, locale, time_zone,
       updated_at, deleted_at
FROM accounts
JOIN (SELECT DISTINCT * FROM unnest(%(properties)s::text[], %(accounts)s::text[])
      AS named (property, account)) AS named USING (property, account)
ORDER BY account_key
FOR NO KEY UPDATE OF accounts;

-- :name lock_profiles
-- Lock accounts by their keys, and read what is known of them.
SELECT account_key, property, account, status, contact, minor, email, name, locale, time_zone,
       updated_at, deleted_at
FROM accounts WHERE account_key = ANY(%(keys)s)
ORDER BY account_key FOR NO KEY UPDATE;

-- :name lock_keys
-- Lock accounts by their keys.
SELECT account_key FROM accounts WHERE account_key = ANY(%(keys)s)
ORDER BY account_key FOR NO KEY UPDATE;

-- :name told
-- Have a table for account events that were told, which each transaction finds empty.
CREATE TEMPORARY TABLE IF NOT EXISTS told_accounts (
    position integer, property text, account text, status text, contact text, minor boolean,
    email text, name text, locale text, time_zone text, updated_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name tell
-- Fill it.
COPY told_accounts FROM STDIN (FORMAT BINARY);

-- :name compare
-- Find the events that say anything but what is known, with their accounts' keys.
-- Each account is looked up by itself: told are thousands, known may be millions.
SELECT position, account_key
FROM told_accounts AS told
LEFT JOIN LATERAL (
    SELECT account_key, deleted_at IS NULL AND NOT minor
           AND (updated_at, status, contact) = (told.updated_at, told.status, told.contact)
           AND NOT told.minor
           AND email IS NOT DISTINCT FROM told.email AND name IS NOT DISTINCT FROM told.name
           AND locale IS NOT DISTINCT FROM told.locale
           AND time_zone IS NOT DISTINCT FROM told.time_zone AS says_it
    FROM accounts WHERE property = told.property AND account = told.account OFFSET 0
) AS known ON true
WHERE says_it IS NOT TRUE
ORDER BY position;

-- :name forget_told
-- Empty it before the transaction ends.
DELETE FROM told_accounts;

-- :name changed
-- Have a table for what accounts have become, which each transaction finds empty.
CREATE TEMPORARY TABLE IF NOT EXISTS changed_accounts (
    account_key bigint, property text, account text, status text, contact text, minor boolean,
    email text, name text, locale text, time_zone text, updated_at timestamptz,
    deleted_at timestamptz, address_hash bytea
) ON COMMIT DELETE ROWS;

-- :name change
-- Fill it.
COPY changed_accounts FROM STDIN (FORMAT BINARY);

-- :name add_profiles
-- Add the accounts that have no key yet; of one that another has just added, nothing is returned.
INSERT INTO accounts (property, account, status, contact, minor, email, name, locale, time_zone,
                      updated_at, deleted_at, address_hash)
SELECT property, account, status, contact, minor, email, name, locale, time_zone, updated_at,
       deleted_at, address_hash
FROM changed_accounts WHERE account_key IS NULL
ORDER BY property, account
ON CONFLICT DO NOTHING
RETURNING account_key, property, account;

-- :name write_profiles
-- Write what account events changed.
UPDATE accounts SET
    status = told.status, contact = told.contact, minor = told.minor, email = told.email,
    name = told.name, locale = told.locale, time_zone = told.time_zone,
    address_hash = told.address_hash, updated_at = told.updated_at,
    deleted_at = told.deleted_at,
    holdings_id = CASE WHEN told.status = 'deleted' THEN 0 ELSE holdings_id END,
    changed = pg_current_xact_id()
FROM changed_accounts AS told
WHERE accounts.account_key = told.account_key;

-- :name forget_changed
-- Empty the table of what accounts have become before the transaction ends.
DELETE FROM changed_accounts;

-- :name write_history
-- Keep what status, contact and minor have become, and since when.
COPY account_history (account_key, since, status, contact, minor) FROM STDIN (FORMAT BINARY);
