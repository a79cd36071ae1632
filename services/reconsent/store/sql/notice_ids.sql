-- :name accounts_of
-- Find the accounts of notices: a computed id says which, the others are listed. Whether there is such
-- a notice is not looked at.
SELECT id AS notice_id, account_in(id, mask) AS account_key
FROM unnest(%(notice_ids)s::uuid[]) AS id CROSS JOIN notice_salt
WHERE is_computed(id)
UNION ALL
SELECT early.notice_id, early.account_key
FROM unnest(%(notice_ids)s::uuid[]) AS id
JOIN early_notices AS early ON early.bucket = bucket_of_id(id) AND early.notice_id = id;
