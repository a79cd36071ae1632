-- :name make_incoming
-- Create the staging table for account events; it is empty at the start of a transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_accounts (
    position integer, property text, account text, status text, contact text, minor boolean,
    email text, name text, locale text, time_zone text, updated_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name copy_incoming
-- Stage account events.
COPY incoming_accounts FROM STDIN (FORMAT BINARY);

-- :name compare
-- Find the events that differ from the known profiles, with the accounts' keys.
-- LATERAL with OFFSET 0 makes one index look-up per event: few are staged, millions may be known.
SELECT position, account_key
FROM incoming_accounts AS incoming
LEFT JOIN LATERAL (
    SELECT account_key, deleted_at IS NULL AND NOT minor
           AND (updated_at, status, contact) = (incoming.updated_at, incoming.status, incoming.contact)
           AND NOT incoming.minor
           AND email IS NOT DISTINCT FROM incoming.email AND name IS NOT DISTINCT FROM incoming.name
           AND locale IS NOT DISTINCT FROM incoming.locale
           AND time_zone IS NOT DISTINCT FROM incoming.time_zone AS is_known
    FROM accounts
    WHERE bucket = bucket_of_name(incoming.property, incoming.account)
      AND property = incoming.property AND account = incoming.account OFFSET 0
) AS known ON true
WHERE is_known IS NOT TRUE
ORDER BY position;

-- :name clear_incoming
-- Clear the staging table before the transaction ends.
DELETE FROM incoming_accounts;

-- :name add
-- Add the accounts of staged events at some positions, and the begin of their history. `hashes` are
-- those of their addresses, 32 bytes each.
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, contact, minor, email,
                          name, locale, time_zone, updated_at, address_hash)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account, status, contact,
           minor, email, name, locale, time_zone, updated_at,
           CASE WHEN email IS NOT NULL
                THEN substr(%(hashes)s::bytea, place::integer * 32 - 31, 32) END
    FROM unnest(%(positions)s::integer[]) WITH ORDINALITY AS wanted (position, place)
    JOIN incoming_accounts USING (position)
    CROSS JOIN LATERAL bucket_of_name(property, account) AS bucket
    ORDER BY property, account
    RETURNING bucket, account_key, updated_at, status, contact, minor
), history AS (
    INSERT INTO account_history (bucket, account_key, since, status, contact, minor)
    SELECT bucket, account_key, updated_at, status, contact, minor FROM added
)
-- :include accounts_added
SELECT count(*) FROM added;
