-- :name close_notices
-- A deletion suppresses what was not mailed, for good, and closes what was.
UPDATE notices SET
    changed = pg_current_xact_id(),
    dead = true,
    state = CASE
        WHEN state NOT IN ('planned', 'due', 'suppressed') THEN state
        WHEN overtaken THEN 'superseded'
        ELSE 'suppressed' END,
    suppression = CASE
        WHEN state IN ('planned', 'due', 'suppressed') AND NOT overtaken THEN 'deleted' END
FROM (
    SELECT notice_id, version_id <> ALL(%(latest)s) AND (kind = 'choice' OR state <> 'suppressed')
           AS overtaken
    FROM notices WHERE account_key = ANY(%(keys)s) AND NOT dead
) AS closed
WHERE notices.notice_id = closed.notice_id;

-- :name forget_evidence
-- A deletion takes along the evidence of decisions made before it.
DELETE FROM consent_evidence USING consents, accounts
WHERE consents.consent_id = consent_evidence.consent_id
  AND accounts.account_key = consents.account_key
  AND accounts.account_key = ANY(%(keys)s)
  AND consents.decided_at <= accounts.deleted_at;

-- :name drop_deleted
-- Drop the collections dated up to an account's deletion.
DELETE FROM collections USING accounts
WHERE accounts.account_key = ANY(%(keys)s)
  AND collections.account_key = accounts.account_key
  AND collections.collected_at <= accounts.deleted_at;

-- :name forget_erasures
-- Erasures dated up to a deletion have nothing left to say.
DELETE FROM collection_erasures AS erasure USING accounts
WHERE accounts.account_key = ANY(%(keys)s)
  AND erasure.account_key = accounts.account_key
  AND erasure.erased_at <= accounts.deleted_at;
