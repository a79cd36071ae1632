-- :name settle
-- Record how mailed questions were settled.
WITH written AS (
    UPDATE notices SET settled = %(settled)s
    WHERE notice_id = ANY(%(notice_ids)s)
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name lock_alone
-- Wait for all transactions that depend on the published versions, and block others, but not those
-- that only read.
LOCK TABLE policies IN EXCLUSIVE MODE;

-- :name content_hash
-- Read the hash of a version's content.
SELECT content_hash FROM policy_versions WHERE policy = %(policy)s AND version = %(version)s;

-- :name publish
-- Add a version to its policy's line, with its release.
WITH line AS (
    INSERT INTO policies (policy) VALUES (%(policy)s) ON CONFLICT DO NOTHING
), version AS (
    INSERT INTO policy_versions (policy, version, document, content_hash)
    VALUES (%(policy)s, %(version)s, %(document)s::json, %(content_hash)s)
    RETURNING version_id
)
INSERT INTO releases (version_id) SELECT version_id FROM version RETURNING version_id;

-- :name own_properties
-- Record which policy governs the properties that a version lists.
INSERT INTO properties (property, policy)
SELECT property, %(policy)s FROM unnest(%(properties)s::text[]) AS property
ON CONFLICT DO NOTHING;

-- :name counting_on_controller
-- Find accounts of some properties with an agreement that names no recipient.
SELECT DISTINCT account_key
FROM consents JOIN accounts USING (account_key)
WHERE property = ANY(%(properties)s) AND answer = 'allow' AND recipient = '*';

-- :name not_settled_yet
-- Find a version's mailed questions whose accounts changed since the planner saw them.
SELECT notices.notice_id, notices.ask_id, accounts.holdings_id, accounts.standing_id
FROM notices JOIN accounts USING (account_key)
WHERE notices.version_id = %(version_id)s AND notices.kind = 'choice' AND NOT notices.dead
  AND notices.attempt_id IS NOT NULL
  AND notices.state NOT IN ('due', 'suppressed', 'superseded')
  AND notices.account_key IN (
      SELECT account_key FROM changes
      WHERE stream = 'accounts'
        AND (changed, account_key) > (%(transaction)s::xid8, %(account_key)s))
  AND notices.notice_id = (
      SELECT last.notice_id FROM last_notices AS last
      WHERE last.account_key = notices.account_key AND last.version_id = notices.version_id);
