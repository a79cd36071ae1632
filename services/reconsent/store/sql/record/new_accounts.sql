-- :name make_incoming
-- Create the staging table for account events; it is empty at the start of a transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_accounts (
    position integer, property text, account text, email text, name text, locale text,
    time_zone text, status text, contact text, minor boolean, updated_at timestamptz,
    address_hash bytea, alone boolean, is_personal boolean, stated_at timestamptz,
    verified_at timestamptz, opted_in_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name make_compared
-- Create the table for staged events that differ from the known profiles.
CREATE TEMPORARY TABLE IF NOT EXISTS compared_accounts (
    account_key bigint, bucket smallint, position integer, property text, account text, email text,
    name text, locale text, time_zone text, status text, contact text, minor boolean,
    updated_at timestamptz, address_hash bytea, alone boolean, is_personal boolean,
    stated_at timestamptz, verified_at timestamptz, opted_in_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name clear_incoming
-- Clear the staging table of what the transaction recorded before.
DELETE FROM incoming_accounts;

-- :name clear_compared
-- Clear what was compared before.
DELETE FROM compared_accounts;

-- :name copy_incoming
-- Stage account events.
COPY incoming_accounts FROM STDIN;

-- :name compare
-- Find the events that differ from the known profiles, with the accounts' keys.
-- LATERAL with OFFSET 0 makes one index look-up per event: few are staged, millions may be known.
INSERT INTO compared_accounts
SELECT account_key, incoming.*
FROM (
    SELECT bucket_of_name(property, account) AS bucket, * FROM incoming_accounts OFFSET 0
) AS incoming
LEFT JOIN LATERAL (
    SELECT account_key, deleted_at IS NULL AND NOT minor
           AND (updated_at, status, contact) = (incoming.updated_at, incoming.status, incoming.contact)
           AND NOT incoming.minor
           AND email IS NOT DISTINCT FROM incoming.email AND name IS NOT DISTINCT FROM incoming.name
           AND locale IS NOT DISTINCT FROM incoming.locale
           AND time_zone IS NOT DISTINCT FROM incoming.time_zone
           AND (incoming.verified_at IS NULL OR incoming.verified_at <= email_verified_at)
           AND (incoming.opted_in_at IS NULL OR incoming.opted_in_at <= accounts.opted_in_at)
           AS is_known
    FROM accounts
    WHERE bucket = incoming.bucket AND property = incoming.property
      AND account = incoming.account OFFSET 0
) AS known ON true
WHERE is_known IS NOT TRUE;

-- :name add
-- Add the accounts that are simply new, and the begin of their history; count them.
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, contact, minor, email,
                          name, locale, time_zone, updated_at, address_hash, stated_at,
                          address_since, email_verified_at, opted_in_at)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account, status, contact,
           minor, email, name, locale, time_zone, updated_at, address_hash, stated_at,
           CASE WHEN address_hash IS NOT NULL THEN updated_at END,
           CASE WHEN address_hash IS NOT NULL THEN verified_at END, opted_in_at
    FROM compared_accounts
    WHERE account_key IS NULL AND alone
    ORDER BY property, account
    RETURNING bucket, account_key, updated_at, status, contact, minor, stated_at
), history AS (
    INSERT INTO account_history (bucket, account_key, since, status, contact, minor, stated_at)
    SELECT bucket, account_key, updated_at, status, contact, minor, stated_at FROM added
)
-- :include accounts_added
SELECT count(*) FROM added;

-- :name changed
-- Return what was compared: all of it, or without the accounts that are simply new.
SELECT position, account_key, property, account, status, contact, minor, email, name, locale,
       time_zone, updated_at, is_personal, stated_at, address_hash, verified_at, opted_in_at
FROM compared_accounts
WHERE %(all)s OR account_key IS NOT NULL OR NOT alone
ORDER BY position;

-- :name mailbox_buckets
-- Find the buckets of the mailboxes that the staged events name.
SELECT DISTINCT bucket_of_hash(address_hash) AS bucket
FROM incoming_accounts WHERE address_hash IS NOT NULL ORDER BY bucket;

-- :name verifies
-- Tell whether any of the compared events verifies a mailbox.
SELECT bucket FROM compared_accounts WHERE verified_at IS NOT NULL AND address_hash IS NOT NULL LIMIT 1;

-- :name verified_and_marked
-- Find the mailboxes with a mark, lifted or not, among those that the compared events verify.
SELECT DISTINCT compared.address_hash
FROM compared_accounts AS compared
JOIN mailbox_marks ON mailbox_marks.bucket = bucket_of_hash(compared.address_hash)
                  AND mailbox_marks.address_hash = compared.address_hash
WHERE verified_at IS NOT NULL;

-- :name anyone_unsubscribed
-- Tell whether any report that names an address says that its owner unsubscribed.
SELECT bucket FROM mailbox_reports WHERE event = 'unsubscribed' LIMIT 1;

-- :name unsubscribed
-- Find the mailboxes whose owners unsubscribed, among those of the accounts that are simply new.
SELECT DISTINCT compared.address_hash
FROM compared_accounts AS compared
JOIN mailbox_reports ON mailbox_reports.bucket = bucket_of_hash(compared.address_hash)
                    AND mailbox_reports.address_hash = compared.address_hash
WHERE account_key IS NULL AND alone AND event = 'unsubscribed';
