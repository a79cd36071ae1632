-- :name end_attempt
-- Note when an attempt ended, and how many of its members had which outcome.
UPDATE attempts SET ended_at = clock_timestamp(), outcome = %(outcome)s
WHERE attempt_id = %(attempt_id)s;

-- :name lock_members
-- Lock the members of an attempt: a deletion locks the notices of its account as well.
SELECT FROM notices WHERE notice_id = ANY(%(notice_id)s)
ORDER BY notice_id FOR NO KEY UPDATE;

-- :name outcomes
-- Write what became of the members of an attempt, unless something later is known already.
WITH written AS (
    UPDATE notices SET
        state = CASE WHEN reported.outcome = 'retry' AND notices.dead THEN 'suppressed'
                     WHEN reported.outcome = 'retry' THEN 'due' ELSE reported.outcome END,
        suppression = CASE WHEN reported.outcome = 'retry' AND notices.dead THEN 'deleted' END,
        accepted_at = CASE WHEN reported.outcome = 'accepted' THEN %(now)s::timestamptz END,
        undelivered = reported.outcome = 'rejected',
        -- It may quote the address, of which nothing is kept of deleted accounts and of minors.
        reason = CASE WHEN NOT (reported.reason IS NULL OR notices.dead OR (
            SELECT minor FROM accounts WHERE accounts.account_key = notices.account_key
        )) THEN reported.reason END,
        not_before = reported.not_before,
        tried = CASE WHEN reported.outcome = 'retry'
                     THEN coalesce(tried, '[]') || jsonb_build_array(jsonb_build_array(attempt_id, 'retry'))
                     ELSE tried END
    FROM unnest(%(notice_id)s::uuid[], %(outcome)s::text[], %(reason)s::text[],
                %(not_before)s::timestamptz[]) AS reported (notice_id, outcome, reason, not_before)
    WHERE notices.notice_id = reported.notice_id AND notices.attempt_id = %(attempt_id)s
      AND (notices.state IN ('attempting', 'unknown')
           -- A sender that was presumed dead can still report, unless the notice was sent again.
           OR notices.state = 'abandoned' AND reported.outcome <> 'unknown'
           OR notices.state = 'due' AND reported.outcome IN ('accepted', 'rejected'))
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

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
    UPDATE attempts SET ended_at = clock_timestamp(), outcome = 'abandoned'
    WHERE attempt_id = ANY(%(attempts)s)
), settled AS (
    UPDATE notices SET
        state = CASE WHEN NOT dead THEN %(state)s
                     WHEN %(why)s = 'retry' THEN 'suppressed' ELSE 'unknown' END,
        suppression = CASE WHEN dead AND %(why)s = 'retry' THEN 'deleted' END,
        tried = CASE WHEN %(state)s = 'unknown' OR (dead AND %(why)s <> 'retry') THEN tried
                     ELSE coalesce(tried, '[]')
                          || jsonb_build_array(jsonb_build_array(attempt_id, %(why)s::text)) END
    WHERE attempt_id = ANY(%(attempts)s) AND state = 'attempting'
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM settled;
