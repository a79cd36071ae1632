-- :name unplanned
-- Find the versions that are not fully planned, oldest first, and how far their planning came in the
-- bucket that is furthest behind.
SELECT version_id, min(planned_to) AS planned_to
FROM releases JOIN planning_progress USING (version_id)
WHERE state = 'planning' AND version_id = ANY(%(versions)s)
GROUP BY version_id ORDER BY version_id;

-- :name any_unplanned
-- Tell whether any version is not fully planned.
SELECT EXISTS (SELECT FROM releases WHERE state = 'planning');

-- :name inform_after
-- Find in each bucket the account after which versions inform: how far the first of them is planned.
SELECT bucket, min(planned_to) AS planned_to FROM planning_progress
WHERE version_id = ANY(%(versions)s::integer[]) GROUP BY bucket;

-- :name unsent
-- Tell whether earlier versions of a policy have information notices that were not sent.
SELECT coalesce(sum(notices), 0) > 0 FROM notice_counts
WHERE version_id = ANY(%(versions)s::integer[]) AND kind = 'information'
  AND state IN ('planned', 'due');

-- :name advance
-- Plan a version up to an account, in some buckets; return those where it is not planned so far. Who
-- plans the same at the same time waits here.
UPDATE planning_progress SET planned_to = %(upto)s
WHERE version_id = %(version_id)s AND bucket = ANY(%(buckets)s::smallint[])
  AND planned_to < %(upto)s
RETURNING bucket;

-- :name with_notices
-- List the accounts in a range that have a notice of a version.
SELECT DISTINCT account_key FROM notices
WHERE bucket = ANY(%(buckets)s::smallint[])
  AND account_key > %(after)s AND account_key <= %(upto)s AND version_id = %(version_id)s;

-- :name finish
-- Finish the planning of a version and of earlier ones planned with it.
UPDATE releases SET state = CASE WHEN version_id = %(version_id)s THEN 'sending' ELSE 'done' END
WHERE version_id = ANY(%(versions)s);

-- :name forget_progress
-- Forget how far the planning of some versions came.
DELETE FROM planning_progress WHERE version_id = ANY(%(versions)s);
