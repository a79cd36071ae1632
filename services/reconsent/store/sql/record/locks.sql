-- :name accounts
-- Lock accounts of a bucket, always in the same order.
SELECT FROM accounts WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
ORDER BY account_key FOR NO KEY UPDATE;

-- :name for_mailboxes
-- Lock the mailboxes of a bucket, beside others who speak for them.
SELECT FROM buckets WHERE bucket = %(bucket)s FOR SHARE;

-- :name against_mailboxes
-- Lock the mailboxes of a bucket alone.
SELECT FROM buckets WHERE bucket = %(bucket)s FOR UPDATE;
