-- :name settle
-- Record how mailed questions were settled.
WITH written AS (
    UPDATE notices SET settled = %(settled)s
    FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
    WHERE notices.bucket = listed.bucket AND notices.account_key = listed.account_key
      AND notices.notice_id = listed.notice_id
    RETURNING notices.bucket, notices.account_key
)
-- :include notices_changed

-- :name lock_alone
-- Wait for all transactions that depend on the published versions, and block others, but not those
-- that only read.
LOCK TABLE policies IN EXCLUSIVE MODE;

-- :name content_hash
-- Read the hash of a version's content.
SELECT content_hash FROM policy_versions WHERE policy = %(policy)s AND version = %(version)s;

-- :name publish
-- Add a version to its policy's line, with its release; its id is the next one. It was published no
-- later than now.
WITH line AS (
    INSERT INTO policies (policy) VALUES (%(policy)s) ON CONFLICT DO NOTHING
), version AS (
    INSERT INTO policy_versions (version_id, policy, version, document, content_hash, published_at)
    SELECT coalesce(max(version_id), 0) + 1, %(policy)s, %(version)s, %(document)s::json,
           %(content_hash)s, least(%(published_at)s::timestamptz, clock_timestamp())
    FROM policy_versions
    RETURNING version_id
)
INSERT INTO releases (version_id) SELECT version_id FROM version RETURNING version_id;

-- :name begin_planning
-- Begin to plan a version in all buckets.
INSERT INTO planning_progress (bucket, version_id)
SELECT bucket, %(version_id)s FROM buckets;

-- :name own_properties
-- Record which policy governs the properties that a version lists.
INSERT INTO properties (property, policy)
SELECT property, %(policy)s FROM unnest(%(properties)s::text[]) AS property
ON CONFLICT DO NOTHING;

-- :name counting_on_controller
-- Find accounts of some properties with a yes that names no recipient.
SELECT DISTINCT account_key
FROM consents JOIN accounts USING (bucket, account_key)
WHERE property = ANY(%(properties)s) AND answer = 'allow' AND recipient = '*';

-- :name not_settled_yet
-- Find a version's mailed questions whose accounts changed since the planner saw them.
SELECT account_key, notices.notice_id, notices.ask_id, holdings_id, standing_id
FROM (
    SELECT DISTINCT changes.bucket, changes.account_key
    FROM followers
    JOIN changes
      ON changes.bucket = followers.bucket AND changes.stream = followers.stream
     AND (changes.changed, changes.account_key) > (followers.changed, followers.account_key)
    WHERE follower = 'planner'
) AS changed
JOIN notices USING (bucket, account_key) JOIN account_sets USING (bucket, account_key)
WHERE notices.version_id = %(version_id)s AND notices.kind = 'choice' AND NOT notices.dead
  AND notices.attempt_id IS NOT NULL
  AND notices.state NOT IN ('due', 'suppressed', 'superseded')
  AND notices.notice_id = (
      SELECT last.notice_id FROM last_notices AS last
      WHERE last.bucket = notices.bucket AND last.account_key = notices.account_key
        AND last.version_id = notices.version_id);
