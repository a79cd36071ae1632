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
