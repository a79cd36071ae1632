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
-- Read the next notices of a property's accounts, by account, version and sequence, from the index
-- on accounts' names. `states` are those worth reading, null for all.
{notices}
WHERE property = %(property)s AND account >= %(after_account)s
  AND (account, version_id, sequence)
    > (%(after_account)s, %(after_version)s, %(after_sequence)s)
  AND (%(account)s::text IS NULL OR account = %(account)s)
  AND version_id = ANY(%(versions)s)
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s)
       OR (%(undelivered)s AND undelivered))
ORDER BY property, account, version_id, sequence
LIMIT %(limit)s;

-- :name place
-- Find the place of a notice in the list.
SELECT property, account, version_id, sequence FROM notices JOIN accounts USING (account_key)
WHERE notice_id = %(notice_id)s;
