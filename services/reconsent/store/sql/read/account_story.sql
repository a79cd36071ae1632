-- :name history
-- Read what was ever said of one account, oldest first. The same statement again counts from when it
-- came in first.
SELECT min(since) AS since, status, contact, minor FROM account_history
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
GROUP BY coalesce(stated_at, since), status, contact, minor
ORDER BY since;

-- :name holds
-- Read the data that one account holds; a deleted account holds nothing.
SELECT data_category, collected_under, first_collected_at, last_collected_on, source
FROM first_collections
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s;

-- :name erased
-- Read which of an account's data was erased, and when last, since its latest deletion.
SELECT data_category, collected_under, max(erased_at) AS erased_at
FROM collection_erasures JOIN accounts USING (bucket, account_key)
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
  AND (deleted_at IS NULL OR erased_at > deleted_at)
GROUP BY data_category, collected_under;

-- :name account
-- Read one account without its name and address, and lock it until the transaction ends.
SELECT account_key, status, stated_contact AS contact, minor, locale, updated_at, deleted_at,
       holdings_id, standing_id, address, unsubscribed_at,
       coalesce(%(at)s::timestamptz, now()) AS at
FROM account_reach AS accounts
WHERE bucket = bucket_of_name(%(property)s, %(account)s)
  AND property = %(property)s AND account = %(account)s
FOR SHARE OF accounts;

-- :name time_zone
-- Read one account's time zone.
SELECT time_zone FROM accounts
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s;

-- :name accepted
-- Read when the mail provider accepted one account's notices.
SELECT notice_id::text AS notice, accepted_at FROM notices
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
  AND accepted_at IS NOT NULL;

-- :name dated_ahead
-- Read what was dated ahead of when it came in, for one account: it counts from then.
SELECT 'account' AS what, min(since) AS counts_from, stated_at FROM account_history
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
  AND stated_at IS NOT NULL
GROUP BY stated_at, status, contact, minor
UNION ALL
SELECT 'collection', collected_at, stated_at FROM collections
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
  AND stated_at IS NOT NULL
UNION ALL
SELECT 'choice', min(decided_at), stated_at FROM consents
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
  AND stated_at IS NOT NULL
GROUP BY stated_at, answer, data_category, collected_under, data_use, recipient
ORDER BY counts_from, stated_at, what;
