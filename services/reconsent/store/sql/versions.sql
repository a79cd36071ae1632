-- :name lock
-- Prevent publications until this transaction ends. A table lock, as its queue is fair: row locks
-- that are shared without a pause would keep a publication waiting for ever.
LOCK TABLE policies IN ROW SHARE MODE;

-- :name newest
-- Read the id of the newest version.
SELECT coalesce(max(version_id), 0) FROM policy_versions;

-- :name ids
-- List the published versions in the order of publication.
SELECT version_id FROM policy_versions ORDER BY version_id;

-- :name read
-- Read some published versions.
SELECT version_id, document, published_at FROM policy_versions WHERE version_id = ANY(%(ids)s);
