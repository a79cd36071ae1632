-- :name accounts
-- Lock accounts of a bucket, always in the same order.
SELECT FROM accounts WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
ORDER BY account_key FOR NO KEY UPDATE;

-- :name pass_queue
-- Wait for those who want to lock mailboxes exclusively, unless the transaction has locked some already:
-- then they wait for it.
SELECT FROM mailbox_queue
WHERE current_setting('reconsent.mailboxes', true) IS DISTINCT FROM 'locked' FOR SHARE;

-- :name hold_queue
-- Let nobody else lock mailboxes until the transaction ends.
SELECT FROM mailbox_queue FOR UPDATE;

-- :name note_locked
-- Note that the transaction has locked mailboxes.
SELECT set_config('reconsent.mailboxes', 'locked', true);

-- :name mailboxes_shared
-- Lock the mailboxes of a bucket, shared with others who speak for them.
SELECT FROM buckets WHERE bucket = %(bucket)s FOR SHARE;

-- :name mailboxes_exclusive
-- Lock the mailboxes of a bucket exclusively.
SELECT FROM buckets WHERE bucket = %(bucket)s FOR UPDATE;
