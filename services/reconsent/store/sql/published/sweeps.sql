-- :name unswept
-- Find a version for which a topic has not gone through the accounts of its policy.
SELECT versions.version_id, coalesce(sweeps.account_key, 0)
FROM unnest(%(latest)s::integer[]) AS versions (version_id)
LEFT JOIN relay_sweeps AS sweeps
       ON sweeps.topic = %(topic)s AND sweeps.version_id = versions.version_id
WHERE sweeps.done IS NOT TRUE
ORDER BY versions.version_id LIMIT 1;

-- :name slice
-- Take the next accounts of some properties.
SELECT account_key FROM accounts
WHERE account_key > %(after)s AND property = ANY(%(properties)s)
ORDER BY account_key LIMIT %(limit)s;

-- :name sweep
-- Note how far the accounts of a policy were gone through.
INSERT INTO relay_sweeps (topic, version_id, account_key, done)
VALUES (%(topic)s, %(version_id)s, %(account_key)s, %(done)s)
ON CONFLICT (topic, version_id) DO UPDATE
SET account_key = excluded.account_key, done = excluded.done;
