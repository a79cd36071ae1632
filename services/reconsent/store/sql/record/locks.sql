-- :name accounts
-- Lock accounts of a bucket, always in the same order.
SELECT FROM accounts WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
ORDER BY account_key FOR NO KEY UPDATE;

-- :name mailboxes_shared
-- Lock the mailboxes of a bucket, shared with others who speak for them.
SELECT FROM buckets WHERE bucket = %(bucket)s FOR SHARE;

-- :name mailboxes_exclusive
-- Lock the mailboxes of a bucket exclusively.
SELECT FROM buckets WHERE bucket = %(bucket)s FOR UPDATE;
