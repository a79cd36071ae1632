-- :name notices
-- Notices with what their current state depends on.
SELECT notice_id, property, account, version_id, sequence, kind, state, suppression, settled,
       ask_id, dead, undelivered,
       notices.notice_id = (
           SELECT last.notice_id FROM last_notices AS last
           WHERE last.account_key = notices.account_key
             AND last.version_id = notices.version_id) AS is_last,
       holdings_id, standing_id
FROM notices JOIN accounts USING (account_key)

-- :name list
-- Read notices by account, version and sequence.
{notices}
WHERE version_id = ANY(%(versions)s)
  AND (%(property)s::text IS NULL OR property = %(property)s)
  AND (%(account)s::text IS NULL OR account = %(account)s)
ORDER BY property COLLATE "C", account COLLATE "C", version_id, sequence;
