-- :name lock
-- Prevent publications until this transaction ends.
SELECT pg_advisory_xact_lock_shared(hashtext('reconsent.versions'));

-- :name newest
-- Read the id of the newest version.
SELECT coalesce(max(version_id), 0) FROM policy_versions;

-- :name ids
-- List the published versions in the order of publication.
SELECT version_id FROM policy_versions ORDER BY version_id;

-- :name read
-- Read some published versions.
SELECT version_id, document, published_at FROM policy_versions WHERE version_id = ANY(%(ids)s);
