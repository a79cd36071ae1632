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

-- :name lock_keys
-- Lock accounts by their keys.
SELECT account_key FROM accounts WHERE account_key = ANY(%(keys)s)
ORDER BY account_key FOR NO KEY UPDATE;

-- :name write_profiles
-- Write what account events changed.
UPDATE accounts SET
    status = told.status, contact = told.contact, minor = told.minor, email = told.email,
    name = told.name, locale = told.locale, time_zone = told.time_zone,
    address_hash = told.address_hash, updated_at = told.updated_at,
    deleted_at = told.deleted_at,
    holdings_id = CASE WHEN told.status = 'deleted' THEN 0 ELSE holdings_id END,
    changed = pg_current_xact_id()
FROM unnest(
    %(account_key)s::bigint[], %(status)s::text[], %(contact)s::text[], %(minor)s::boolean[],
    %(email)s::text[], %(name)s::text[], %(locale)s::text[], %(time_zone)s::text[],
    %(address_hash)s::bytea[], %(updated_at)s::timestamptz[], %(deleted_at)s::timestamptz[]
) AS told (account_key, status, contact, minor, email, name, locale, time_zone, address_hash,
           updated_at, deleted_at)
WHERE accounts.account_key = told.account_key;

-- :name write_history
-- Keep what status, contact and minor have become, and since when.
INSERT INTO account_history (account_key, since, status, contact, minor)
SELECT * FROM unnest(%(account_key)s::bigint[], %(since)s::timestamptz[], %(status)s::text[],
                     %(contact)s::text[], %(minor)s::boolean[]);

-- :name close_notices
-- A deletion suppresses what was not mailed, for good, and closes what was.
UPDATE notices SET
    dead = true,
    state = CASE
        WHEN state NOT IN ('planned', 'due', 'suppressed') THEN state
        WHEN overtaken THEN 'superseded'
        ELSE 'suppressed' END,
    suppression = CASE
        WHEN state IN ('planned', 'due', 'suppressed') AND NOT overtaken THEN 'deleted' END
FROM (
    SELECT notice_id, version_id <> ALL(%(latest)s) AND (kind = 'choice' OR state <> 'suppressed')
           AS overtaken
    FROM notices WHERE account_key = ANY(%(keys)s) AND NOT dead
) AS closed
WHERE notices.notice_id = closed.notice_id;

-- :name forget_evidence
-- A deletion takes along the evidence of decisions made before it.
DELETE FROM consent_evidence USING consents, accounts
WHERE consents.consent_id = consent_evidence.consent_id
  AND accounts.account_key = consents.account_key
  AND accounts.account_key = ANY(%(keys)s)
  AND consents.decided_at <= accounts.deleted_at;

-- :name find
-- Read one account.
SELECT account_key, status, contact, minor, updated_at IS NULL AS stub, holdings.members,
       standings.members, locale, deleted_at, updated_at, email IS NOT NULL
FROM accounts JOIN holdings USING (holdings_id) JOIN standings USING (standing_id)
WHERE property = %(property)s AND account = %(account)s;

-- :name many
-- Read what permissions depend on, for many accounts.
SELECT property, account, account_key, status, contact, minor, holdings.members,
       standings.members
FROM accounts
JOIN (SELECT DISTINCT * FROM unnest(%(properties)s::text[], %(accounts)s::text[])
      AS named (property, account)) AS named USING (property, account)
JOIN holdings USING (holdings_id) JOIN standings USING (standing_id);

-- :name history
-- Read what one account was, oldest first.
SELECT since, status, contact, minor FROM account_history
WHERE account_key = %(account_key)s ORDER BY since, recorded_at;

-- :name to_erase
-- Find data that must not be kept: a minor's.
SELECT property, account, data_category, collected_under, 'minor'
FROM accounts JOIN (
    SELECT DISTINCT account_key, data_category, collected_under FROM collections
) AS held USING (account_key)
WHERE minor AND status <> 'deleted'
ORDER BY property COLLATE "C", account COLLATE "C", data_category COLLATE "C",
         collected_under COLLATE "C" NULLS FIRST;
