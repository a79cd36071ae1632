-- :name find
-- Read one account.
SELECT account_key, status, contact, minor, updated_at IS NULL AS stub, holdings.members,
       standings.members, locale, deleted_at, updated_at, email IS NOT NULL
FROM accounts JOIN holdings USING (holdings_id) JOIN standings USING (standing_id)
WHERE property = %(property)s AND account = %(account)s;

-- :name history
-- Read what one account was, oldest first.
SELECT since, status, contact, minor FROM account_history
WHERE account_key = %(account_key)s ORDER BY since, recorded_at;

-- :name of_account
-- Read one account's collections, with what was erased.
SELECT data_category, collected_under, min(collected_at), max(collected_at)::date, min(source),
       NULL::timestamptz
FROM collections WHERE account_key = %(account_key)s
GROUP BY data_category, collected_under
UNION ALL
SELECT data_category, collected_under, NULL, NULL, NULL, erased_at
FROM collection_erasures WHERE account_key = %(account_key)s
ORDER BY 1, 2, 3;

-- :name account
-- Read one account without its name and address, and keep it from changing until the story is told.
SELECT account_key, status, contact, minor, locale, updated_at, deleted_at, holdings_id,
       standing_id,
       CASE WHEN email IS NULL THEN 'none'
            WHEN complained OR EXISTS (
                SELECT FROM bounced_addresses AS bounced
                WHERE bounced.address_hash = accounts.address_hash) THEN 'bounced'
            ELSE 'ok' END,
       CASE WHEN unsubscribed THEN unsubscribed_at END,
       coalesce(%(at)s::timestamptz, now())
FROM accounts
WHERE property = %(property)s AND account = %(account)s
FOR SHARE OF accounts;

-- :name accepted
-- Read when the mail provider accepted one account's notices.
SELECT notice_id::text, accepted_at FROM notices
WHERE account_key = %(account_key)s AND accepted_at IS NOT NULL;
