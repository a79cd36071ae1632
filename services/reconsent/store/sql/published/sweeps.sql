-- :name unswept
-- Find a version for which a topic has not gone through the accounts of its policy.
SELECT versions.version_id, coalesce(sweeps.account_key, 0) AS account_key
FROM unnest(%(latest)s::integer[]) AS versions (version_id)
LEFT JOIN relay_sweeps AS sweeps
       ON sweeps.topic = %(topic)s AND sweeps.version_id = versions.version_id
WHERE sweeps.done IS NOT TRUE
ORDER BY versions.version_id LIMIT 1;

-- :name note
-- Note how far a topic went through the accounts of a policy.
INSERT INTO relay_sweeps (topic, version_id, account_key, done)
VALUES (%(topic)s, %(version_id)s, %(account_key)s, %(done)s)
ON CONFLICT (topic, version_id) DO UPDATE
SET account_key = excluded.account_key, done = excluded.done;
