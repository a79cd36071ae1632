-- :name start_pace
-- Let a provider's pace begin with nothing saved up.
INSERT INTO paces (provider, left_now, as_of)
VALUES (%(provider)s, 1, clock_timestamp()) ON CONFLICT DO NOTHING;

-- :name refill
-- Count how many mails a provider may be handed now; what is not used is saved for a second.
UPDATE paces SET
    left_now = least(
        greatest(1, %(per_second)s),
        left_now + %(per_second)s * extract(epoch FROM clock_timestamp() - as_of)),
    as_of = clock_timestamp()
WHERE provider = %(provider)s
RETURNING floor(left_now);

-- :name spend
-- Take away what was claimed.
UPDATE paces SET left_now = left_now - %(mails)s WHERE provider = %(provider)s;

-- :name list
-- Read how each release is doing.
SELECT version_id, state, paused_at, cancelled_at FROM releases ORDER BY version_id;

-- :name pause
-- Hold a release back.
UPDATE releases SET paused_at = clock_timestamp()
WHERE version_id = %(version_id)s AND paused_at IS NULL AND cancelled_at IS NULL;

-- :name resume
-- Let a release go on.
UPDATE releases SET paused_at = NULL WHERE version_id = %(version_id)s AND paused_at IS NOT NULL;

-- :name cancel
-- Stop a release for good.
UPDATE releases SET cancelled_at = clock_timestamp(), paused_at = NULL
WHERE version_id = %(version_id)s AND cancelled_at IS NULL;

-- :name flags
-- Tell which of some releases are paused, and which were cancelled.
SELECT version_id, paused_at IS NOT NULL, cancelled_at IS NOT NULL
FROM releases WHERE version_id = ANY(%(versions)s);

-- :name follow
-- Give unmailed notices the state that their release gives them, some at a time.
UPDATE notices SET
    state = CASE WHEN version_id = ANY(%(cancelled)s) THEN 'suppressed'
                 WHEN version_id = ANY(%(paused)s) THEN 'planned' ELSE 'due' END,
    suppression = CASE WHEN version_id = ANY(%(cancelled)s) THEN 'cancelled' END,
    changed = pg_current_xact_id()
WHERE notice_id IN (
    SELECT notice_id FROM (
        SELECT notice_id FROM notices
        WHERE state = 'planned' AND version_id = ANY(%(going_on)s::integer[])
        UNION ALL
        SELECT notice_id FROM notices
        WHERE state = 'due' AND version_id = ANY(%(paused)s::integer[])
        UNION ALL
        SELECT notice_id FROM notices
        WHERE state IN ('planned', 'due') AND version_id = ANY(%(cancelled)s::integer[])
    ) AS others LIMIT %(limit)s);

-- :name any_to_follow
-- Tell whether any unmailed notice has another state than its release gives it.
SELECT EXISTS (SELECT FROM notices
               WHERE state = 'planned' AND version_id = ANY(%(going_on)s::integer[]))
    OR EXISTS (SELECT FROM notices
               WHERE state = 'due' AND version_id = ANY(%(paused)s::integer[]))
    OR EXISTS (SELECT FROM notices WHERE state IN ('planned', 'due')
                 AND version_id = ANY(%(cancelled)s::integer[]));
