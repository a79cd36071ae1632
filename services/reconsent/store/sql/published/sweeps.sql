-- :name begin_full
-- Let a topic begin with all accounts.
INSERT INTO relay_full_sweeps (bucket, topic) SELECT bucket, %(topic)s FROM buckets
ON CONFLICT (bucket, topic) DO UPDATE SET account_key = 0;

-- :name replace_by_full
-- A sweep of all accounts serves every version that is planned; notices that are still to be planned it
-- may miss.
INSERT INTO relay_sweeps (bucket, topic, version_id, done)
SELECT bucket, %(topic)s, version_id, true FROM buckets CROSS JOIN releases
WHERE state <> 'planning'
ON CONFLICT (bucket, topic, version_id) DO UPDATE SET done = true;

-- :name full
-- Read up to which account a full sweep has got, in the bucket that is furthest behind.
SELECT min(account_key) FROM relay_full_sweeps WHERE topic = %(topic)s HAVING count(*) > 0;

-- :name note_full
-- Record up to which account a full sweep has got.
UPDATE relay_full_sweeps SET account_key = %(account_key)s WHERE topic = %(topic)s;

-- :name end_full
-- A topic has gone through all accounts.
DELETE FROM relay_full_sweeps WHERE topic = %(topic)s;

-- :name unswept
-- Find a version for which a topic has not gone through the accounts of its policy, nor through those
-- that are planned, if it `awaits_planning`.
SELECT versions.version_id,
       min(coalesce(account_key, 0)) FILTER (WHERE done IS NOT TRUE) AS account_key,
       CASE WHEN %(awaits_planning)s THEN planned_to END AS planned_to
FROM buckets CROSS JOIN unnest(%(latest)s::integer[]) AS versions (version_id)
LEFT JOIN relay_sweeps AS sweeps
       ON sweeps.bucket = buckets.bucket
      AND sweeps.topic = %(topic)s AND sweeps.version_id = versions.version_id
LEFT JOIN (SELECT version_id, min(planned_to) AS planned_to FROM planning_progress
           GROUP BY version_id) AS planning ON planning.version_id = versions.version_id
GROUP BY versions.version_id, planned_to
HAVING bool_or(done IS NOT TRUE)
   AND (NOT %(awaits_planning)s OR planned_to IS NULL
        OR planned_to > min(coalesce(account_key, 0)) FILTER (WHERE done IS NOT TRUE))
ORDER BY versions.version_id LIMIT 1;

-- :name note
-- Note how far a topic went through the accounts of a policy.
INSERT INTO relay_sweeps (bucket, topic, version_id, account_key, done)
SELECT bucket, %(topic)s, %(version_id)s, %(account_key)s, %(done)s FROM buckets
ON CONFLICT (bucket, topic, version_id) DO UPDATE
SET account_key = excluded.account_key, done = excluded.done;
