-- :name close_notices
-- Close the notices of deleted accounts, which are locked; suppress those not mailed for good.
WITH written AS (
    UPDATE notices SET
        dead = true,
        state = CASE
            WHEN closed.state NOT IN ('planned', 'due', 'suppressed') THEN closed.state
            WHEN overtaken THEN 'superseded'
            ELSE 'suppressed' END,
        suppression = CASE
            WHEN closed.state IN ('planned', 'due', 'suppressed') AND NOT overtaken
            THEN 'deleted' END
    FROM (
        SELECT bucket, account_key, version_id, sequence, state, suppression,
               version_id <> ALL(%(latest)s) AND (kind = 'choice' OR state <> 'suppressed')
                   AS overtaken
        FROM notices JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
        WHERE NOT dead
    ) AS closed
    WHERE notices.bucket = closed.bucket AND notices.account_key = closed.account_key
      AND notices.version_id = closed.version_id AND notices.sequence = closed.sequence
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, closed.state AS was_state, closed.suppression AS was_suppression
)
-- :include notices_written

-- :name lock_notices
-- Lock the notices of some accounts of a bucket, so that no report or outcome is recorded meanwhile.
SELECT notice_id FROM notices
WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
ORDER BY account_key, version_id, sequence FOR NO KEY UPDATE;

-- :name forget_outcomes
-- Erase providers' responses to some accounts' mails: they may quote the address.
UPDATE notices SET reason = NULL FROM listed(%(keys)s::bigint[])
WHERE notices.bucket = listed.bucket AND notices.account_key = listed.account_key
  AND reason IS NOT NULL;

-- :name forget_reports
-- Erase the texts of providers' reports about some accounts' mails.
UPDATE mail_events SET reason = NULL FROM listed(%(keys)s::bigint[])
WHERE mail_events.bucket = listed.bucket AND mail_events.account_key = listed.account_key
  AND reason IS NOT NULL;

-- :name hashes_of_accepted
-- Find mails to deleted accounts that were accepted long ago, and still have the hash of an address.
SELECT account_key, notice_id FROM notices
WHERE dead AND address_hash IS NOT NULL AND accepted_at <= %(until)s
LIMIT %(limit)s;

-- :name hashes_of_others
-- Find such mails that were never accepted, and last tried long ago: in attempts that precede the
-- first one since, as in `unsettled`.
SELECT account_key, notice_id FROM notices JOIN attempts USING (attempt_id)
WHERE dead AND address_hash IS NOT NULL AND accepted_at IS NULL
  AND coalesce(ended_at, started_at) <= %(until)s
  AND attempt_id < coalesce((SELECT attempt_id FROM attempts WHERE started_at > %(until)s
                             ORDER BY started_at LIMIT 1), 9223372036854775807)
LIMIT %(limit)s;

-- :name forget_hashes
-- Erase the hashes of addresses from some notices. This changes nothing that is published.
UPDATE notices SET address_hash = NULL
FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
WHERE notices.bucket = listed.bucket AND notices.account_key = listed.account_key
  AND notices.notice_id = listed.notice_id AND dead;
