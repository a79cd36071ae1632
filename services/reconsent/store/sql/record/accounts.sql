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

-- :name make_incoming
-- Have a table for incoming account events, which each transaction finds empty.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_accounts (
    position integer, property text, account text, status text, contact text, minor boolean,
    email text, name text, locale text, time_zone text, updated_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name copy_incoming
-- Fill it.
COPY incoming_accounts FROM STDIN (FORMAT BINARY);

-- :name compare
-- Find the events that say anything but what is known, with their accounts' keys.
-- Each account is looked up by itself: incoming are thousands, known may be millions.
SELECT position, account_key
FROM incoming_accounts AS incoming
LEFT JOIN LATERAL (
    SELECT account_key, deleted_at IS NULL AND NOT minor
           AND (updated_at, status, contact) = (incoming.updated_at, incoming.status, incoming.contact)
           AND NOT incoming.minor
           AND email IS NOT DISTINCT FROM incoming.email AND name IS NOT DISTINCT FROM incoming.name
           AND locale IS NOT DISTINCT FROM incoming.locale
           AND time_zone IS NOT DISTINCT FROM incoming.time_zone AS says_it
    FROM accounts WHERE property = incoming.property AND account = incoming.account OFFSET 0
) AS known ON true
WHERE says_it IS NOT TRUE
ORDER BY position;

-- :name clear_incoming
-- Empty it before the transaction ends.
DELETE FROM incoming_accounts;

-- :name make_staged
-- Have a table for what accounts have become, which each transaction finds empty.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_accounts (
    account_key bigint, property text, account text, status text, contact text, minor boolean,
    email text, name text, locale text, time_zone text, updated_at timestamptz,
    deleted_at timestamptz, address_hash bytea
) ON COMMIT DELETE ROWS;

-- :name copy_staged
-- Fill it.
COPY staged_accounts FROM STDIN (FORMAT BINARY);

-- :name add_profiles
-- Add the accounts that have no key yet; of one that another has just added, nothing is returned.
INSERT INTO accounts (property, account, status, contact, minor, email, name, locale, time_zone,
                      updated_at, deleted_at, address_hash)
SELECT property, account, status, contact, minor, email, name, locale, time_zone, updated_at,
       deleted_at, address_hash
FROM staged_accounts WHERE account_key IS NULL
ORDER BY property, account
ON CONFLICT DO NOTHING
RETURNING account_key, property, account;

-- :name write_profiles
-- Write what account events changed.
UPDATE accounts SET
    status = staged.status, contact = staged.contact, minor = staged.minor, email = staged.email,
    name = staged.name, locale = staged.locale, time_zone = staged.time_zone,
    address_hash = staged.address_hash, updated_at = staged.updated_at,
    deleted_at = staged.deleted_at,
    holdings_id = CASE WHEN staged.status = 'deleted' THEN 0 ELSE holdings_id END,
    changed = pg_current_xact_id()
FROM staged_accounts AS staged
WHERE accounts.account_key = staged.account_key;

-- :name clear_staged
-- Empty the table of what accounts have become before the transaction ends.
DELETE FROM staged_accounts;

-- :name write_history
-- Keep what status, contact and minor have become, and since when.
COPY account_history (account_key, since, status, contact, minor) FROM STDIN (FORMAT BINARY);
