-- :name end_attempt
-- Note when an attempt ended, and how many of its members had which outcome.
UPDATE attempts SET ended_at = statement_timestamp(), outcome = %(outcome)s
WHERE attempt_id = %(attempt_id)s;

-- :name accept
-- Write that members of an attempt were accepted, those that still wait for that alone: of these it is
-- known how they were counted before. One that a deletion holds is written as that leaves it.
WITH written AS (
    UPDATE notices SET state = 'accepted', accepted_at = %(now)s::timestamptz,
        undelivered = false, undelivered_at = NULL, again = NULL, reason = NULL, not_before = NULL
    FROM unnest(string_to_array(%(account_keys)s, ',')::bigint[],
                string_to_array(%(notice_ids)s, ',')::uuid[]) AS said (account_key, notice_id)
    WHERE notices.bucket = bucket_of(said.account_key)
      AND notices.account_key = said.account_key AND notices.notice_id = said.notice_id
      AND notices.attempt_id = %(attempt_id)s AND notices.state = 'attempting'
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, 'attempting' AS was_state, NULL AS was_suppression
)
-- :include notices_written

-- :name lock_members
-- Lock members of an attempt in one bucket: a deletion locks the notices of its account as well.
SELECT FROM notices
WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
  AND attempt_id = %(attempt_id)s
ORDER BY account_key, version_id, sequence FOR NO KEY UPDATE;

-- :name outcomes
-- Write what became of the members of an attempt, which are locked, unless something later is known
-- already.
WITH reported AS (
    SELECT notices.bucket, notices.account_key, notices.version_id, notices.sequence, notices.state,
           notices.suppression, said.outcome, said.not_before,
           -- It may quote the address, of which nothing is kept of deleted accounts and of minors.
           CASE WHEN NOT (said.reason IS NULL OR notices.dead OR minor) THEN said.reason END
               AS reason
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(outcome)s::text[],
                %(reason)s::text[], %(not_before)s::timestamptz[])
         AS said (account_key, notice_id, outcome, reason, not_before)
    JOIN notices ON notices.bucket = bucket_of(said.account_key)
                AND notices.account_key = said.account_key
                AND notices.notice_id = said.notice_id
    JOIN accounts ON accounts.bucket = notices.bucket
                 AND accounts.account_key = notices.account_key
    WHERE notices.attempt_id = %(attempt_id)s
      AND (notices.state IN ('attempting', 'unknown')
           -- A sender that was presumed dead can still report, unless the notice was sent again.
           OR notices.state = 'abandoned' AND said.outcome <> 'unknown'
           OR notices.state = 'due' AND said.outcome IN ('accepted', 'rejected'))
), written AS (
    UPDATE notices SET
        state = CASE WHEN reported.outcome = 'retry' AND notices.dead THEN 'suppressed'
                     WHEN reported.outcome = 'retry' THEN 'due' ELSE reported.outcome END,
        suppression = CASE WHEN reported.outcome = 'retry' AND notices.dead THEN 'deleted' END,
        accepted_at = CASE WHEN reported.outcome = 'accepted' THEN %(now)s::timestamptz END,
        undelivered = reported.outcome = 'rejected',
        undelivered_at = CASE WHEN reported.outcome = 'rejected' THEN %(now)s::timestamptz END,
        again = NULL,
        reason = reported.reason,
        not_before = reported.not_before,
        tried = CASE WHEN reported.outcome = 'retry' THEN tried_too(tried, attempt_id, 'retry')
                     ELSE tried END
    FROM reported
    WHERE notices.bucket = reported.bucket AND notices.account_key = reported.account_key
      AND notices.version_id = reported.version_id AND notices.sequence = reported.sequence
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, reported.state AS was_state,
              reported.suppression AS was_suppression
)
-- :include notices_written

-- :name hand_over
-- Note that an attempt is handed over from now on; nothing where it was abandoned.
UPDATE attempts SET outcome = 'handed over'
WHERE attempt_id = %(attempt_id)s AND ended_at IS NULL RETURNING attempt_id;

-- :name abandoned_attempts
-- Find attempts that were begun and never ended, whose sender's lease is gone or is the asking
-- one's own, and tell whether they were handed over.
SELECT attempt_id, outcome IS NOT NULL AS handed_over FROM attempts
WHERE ended_at IS NULL AND (lease = %(lease)s OR NOT EXISTS (
    SELECT FROM leases
    WHERE name = 'sender ' || attempts.lease AND is_live(until, node, pid, backend_start)))
ORDER BY attempt_id FOR UPDATE SKIP LOCKED;

-- :name settle_abandoned
-- Mark the notices of unfinished attempts as unknown or due again; those never handed over (retry)
-- are certainly due again.
WITH ended AS (
    UPDATE attempts SET ended_at = statement_timestamp(), outcome = 'abandoned'
    WHERE attempt_id = ANY(%(attempts)s::bigint[])
), written AS (
    UPDATE notices SET
        state = CASE WHEN NOT dead THEN %(state)s
                     WHEN %(why)s = 'retry' THEN 'suppressed' ELSE 'unknown' END,
        suppression = CASE WHEN dead AND %(why)s = 'retry' THEN 'deleted' END,
        tried = CASE WHEN %(state)s = 'unknown' OR (dead AND %(why)s <> 'retry') THEN tried
                     ELSE tried_too(tried, attempt_id, %(why)s) END
    WHERE attempt_id = ANY(%(attempts)s::bigint[]) AND state = 'attempting'
    RETURNING bucket, account_key, version_id, kind, state, suppression,
              'attempting' AS was_state, NULL AS was_suppression
)
-- :include notices_written
