-- :name notices
-- Notices with what their current state depends on.
SELECT account_key, notice_id, property, account, version_id, sequence, kind, state, suppression,
       settled, ask_id, dead, undelivered,
       notices.notice_id = (
           SELECT last.notice_id FROM last_notices AS last
           WHERE last.bucket = notices.bucket AND last.account_key = notices.account_key
             AND last.version_id = notices.version_id) AS is_last,
       holdings_id, standing_id
FROM notices JOIN accounts USING (bucket, account_key)
JOIN account_sets USING (bucket, account_key)

-- :name begin_list
-- Have the first lines of a list come soon, and wait for a person who takes a long time over it.
SET LOCAL cursor_tuple_fraction = 0.01;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;

-- :name list
-- Read the notices of a property's accounts, by account, version and sequence: in the order of the
-- index on names, unless few accounts have any. `version_id` and `states` are null for all; versions
-- after `newest` were not published when the list began.
{notices}
WHERE property = %(property)s AND account >= %(after_account)s
  AND (account, version_id, sequence)
    > (%(after_account)s, %(after_version)s, %(after_sequence)s)
  AND (%(account)s::text IS NULL OR account = %(account)s)
  AND version_id <= %(newest)s
  AND (%(version_id)s::integer IS NULL OR version_id = %(version_id)s)
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s)
       OR (%(undelivered)s AND undelivered))
ORDER BY property, account, version_id, sequence;

-- :name place
-- Find the place of a notice in the list.
SELECT property, account, version_id, sequence FROM notices
JOIN accounts USING (bucket, account_key)
WHERE notices.bucket = bucket_of(%(account_key)s::bigint)
  AND notices.account_key = %(account_key)s AND notice_id = %(notice_id)s;
