-- :name accounts
-- Lock accounts of a bucket, always in the same order.
SELECT FROM accounts WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
ORDER BY account_key FOR NO KEY UPDATE;
