-- :name begin_full
-- Let a topic begin with all accounts.
INSERT INTO relay_full_sweeps (topic) VALUES (%(topic)s)
ON CONFLICT (topic) DO UPDATE SET account_key = 0;

-- :name replace_by_full
-- A sweep of all accounts serves every version that is published.
INSERT INTO relay_sweeps (topic, version_id, done)
SELECT %(topic)s, version_id, true FROM policy_versions
ON CONFLICT (topic, version_id) DO UPDATE SET done = true;

-- :name full
-- Read how far a topic came along all accounts.
SELECT account_key FROM relay_full_sweeps WHERE topic = %(topic)s;

-- :name next_of_all
-- Read the next slice of all accounts.
SELECT account_key FROM accounts WHERE account_key > %(after)s
ORDER BY account_key LIMIT %(limit)s;

-- :name note_full
-- Record how far a topic came along all accounts.
UPDATE relay_full_sweeps SET account_key = %(account_key)s WHERE topic = %(topic)s;

-- :name end_full
-- A topic has gone through all accounts.
DELETE FROM relay_full_sweeps WHERE topic = %(topic)s;

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
