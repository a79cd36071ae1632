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

-- :name forget_collections
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

-- :name lock_notices
-- Lock the notices of some accounts: no report or outcome of them is being recorded any more.
SELECT notice_id FROM notices WHERE account_key = ANY(%(keys)s)
ORDER BY notice_id FOR NO KEY UPDATE;

-- :name forget_outcomes
-- Forget what providers answered when the mails of some accounts were handed over: it may quote the
-- address.
UPDATE notices SET reason = NULL WHERE account_key = ANY(%(keys)s) AND reason IS NOT NULL;

-- :name forget_reports
-- Forget the words of what providers reported of the mails of some accounts.
UPDATE mail_events SET reason = NULL FROM notices
WHERE notices.account_key = ANY(%(keys)s)
  AND mail_events.notice_id = notices.notice_id AND mail_events.reason IS NOT NULL;

-- :name forget_hashes_of_accepted
-- Forget where the mails of deleted accounts went that were accepted long ago. Nothing that is
-- published changes by that.
UPDATE notices SET address_hash = NULL WHERE notice_id IN (
    SELECT notice_id FROM notices
    WHERE dead AND address_hash IS NOT NULL AND accepted_at <= %(until)s
    LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED);

-- :name forget_hashes_of_others
-- Forget where the mails of deleted accounts were to go that were never accepted and were tried long
-- ago.
UPDATE notices SET address_hash = NULL WHERE notice_id IN (
    SELECT notice_id FROM notices JOIN attempts USING (attempt_id)
    WHERE dead AND address_hash IS NOT NULL AND accepted_at IS NULL
      AND coalesce(ended_at, started_at) <= %(until)s
    LIMIT %(limit)s FOR NO KEY UPDATE OF notices SKIP LOCKED);
