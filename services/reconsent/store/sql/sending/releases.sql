-- :name pause
-- Pause a release.
UPDATE releases SET paused_at = statement_timestamp()
WHERE version_id = %(version_id)s AND paused_at IS NULL AND cancelled_at IS NULL;

-- :name resume
-- Resume a release.
UPDATE releases SET paused_at = NULL WHERE version_id = %(version_id)s AND paused_at IS NOT NULL;

-- :name cancel
-- Cancel a release for good.
UPDATE releases SET cancelled_at = statement_timestamp(), paused_at = NULL
WHERE version_id = %(version_id)s AND cancelled_at IS NULL;

-- :name flags
-- Tell which of some releases are paused, and which were cancelled.
SELECT version_id, paused_at IS NOT NULL AS paused, cancelled_at IS NOT NULL AS cancelled
FROM releases WHERE version_id = ANY(%(versions)s);

-- :name list
-- Read how far each release came, and its flags.
SELECT version_id, state, paused_at IS NOT NULL AS paused, cancelled_at IS NOT NULL AS cancelled
FROM releases ORDER BY version_id;

-- :name not_as_flagged
-- Unmailed notices with another state than follows from the flags of their release: each part reads
-- one index.
SELECT bucket, account_key, version_id, sequence, state FROM notices
WHERE state = 'planned' AND version_id = ANY(%(not_planned)s::integer[])
UNION ALL
SELECT bucket, account_key, version_id, sequence, state FROM notices
WHERE state = 'due' AND not_before IS NOT NULL AND version_id = ANY(%(not_due)s::integer[])
UNION ALL
SELECT notices.bucket, account_key, version_id, sequence, state
FROM buckets JOIN notices ON notices.bucket = buckets.bucket
WHERE state = 'due' AND not_before IS NULL AND version_id = ANY(%(not_due)s::integer[])

-- :name apply_flags
-- Give unmailed notices the state that follows from the flags of their release, some at a time. One
-- that was claimed meanwhile has another state by now.
WITH written AS (
    UPDATE notices SET
        state = CASE WHEN notices.version_id = ANY(%(cancelled)s) THEN 'suppressed'
                     WHEN notices.version_id = ANY(%(paused)s) THEN 'planned' ELSE 'due' END,
        suppression = CASE WHEN notices.version_id = ANY(%(cancelled)s) THEN 'cancelled' END
    FROM (SELECT * FROM ({not_as_flagged}) AS others LIMIT %(limit)s) AS other
    WHERE notices.bucket = other.bucket AND notices.account_key = other.account_key
      AND notices.version_id = other.version_id AND notices.sequence = other.sequence
      AND notices.state = other.state
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, other.state AS was_state, NULL AS was_suppression
)
-- :include notices_written

-- :name any_flags_to_apply
-- Tell whether an unmailed notice has another state than follows from the flags of its release.
SELECT EXISTS ({not_as_flagged});
