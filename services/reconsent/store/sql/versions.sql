-- :name lock
-- Prevent publications until this transaction ends. A table lock, as its queue is fair: row locks
-- that are shared without a pause would keep a publication waiting for ever.
LOCK TABLE policies IN ROW SHARE MODE;

-- :name newest
-- Read the id and the content's hash of the newest version.
SELECT version_id, content_hash FROM policy_versions ORDER BY version_id DESC LIMIT 1;

-- :name ids
-- List the published versions in the order of publication, with the hashes of their contents.
SELECT version_id, content_hash FROM policy_versions ORDER BY version_id;

-- :name read
-- Read some published versions.
SELECT version_id, document, published_at, content_hash FROM policy_versions WHERE version_id = ANY(%(ids)s);
