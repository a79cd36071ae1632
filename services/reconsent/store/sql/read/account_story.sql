-- :name history
-- Read what one account was, oldest first.
SELECT since, status, contact, minor FROM account_history
WHERE account_key = %(account_key)s ORDER BY since, recorded_at;

-- :name of_account
-- Read the data that one account holds, and what was erased of it.
SELECT data_category, collected_under, first_collected_at, last_collected_on, source,
       NULL::timestamptz
FROM first_collections WHERE account_key = %(account_key)s
UNION ALL
SELECT data_category, collected_under, NULL, NULL, NULL, erased_at
FROM collection_erasures WHERE account_key = %(account_key)s
ORDER BY 1, 2, 3;

-- :name account
-- Read one account without its name and address, and keep it from changing until the story is told.
SELECT account_key, status, stated_contact, minor, locale, updated_at, deleted_at, holdings_id,
       standing_id, address, unsubscribed_at, coalesce(%(at)s::timestamptz, now())
FROM account_reach AS accounts
WHERE property = %(property)s AND account = %(account)s
FOR SHARE OF accounts;

-- :name accepted
-- Read when the mail provider accepted one account's notices.
SELECT notice_id::text, accepted_at FROM notices
WHERE account_key = %(account_key)s AND accepted_at IS NOT NULL;
