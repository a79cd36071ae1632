-- :name close_notices
-- Close the notices of deleted accounts; suppress those not mailed for good.
WITH written AS (
    UPDATE notices SET
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
    WHERE notices.notice_id = closed.notice_id
    RETURNING notices.account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name forget_evidence
-- Erase the evidence of decisions made before the deletion.
DELETE FROM consent_evidence USING consents, accounts
WHERE consents.consent_id = consent_evidence.consent_id
  AND accounts.account_key = consents.account_key
  AND accounts.account_key = ANY(%(keys)s)
  AND consents.decided_at <= accounts.deleted_at;

-- :name forget_collections
-- Erase the collections dated up to the deletion.
DELETE FROM collections USING accounts
WHERE accounts.account_key = ANY(%(keys)s)
  AND collections.account_key = accounts.account_key
  AND collections.collected_at <= accounts.deleted_at;

-- :name forget_erasures
-- Drop the erasures dated up to the deletion: they have no effect any more.
DELETE FROM collection_erasures AS erasure USING accounts
WHERE accounts.account_key = ANY(%(keys)s)
  AND erasure.account_key = accounts.account_key
  AND erasure.erased_at <= accounts.deleted_at;

-- :name lock_notices
-- Lock the notices of some accounts, so that no report or outcome is recorded meanwhile.
SELECT notice_id FROM notices WHERE account_key = ANY(%(keys)s)
ORDER BY notice_id FOR NO KEY UPDATE;

-- :name forget_outcomes
-- Erase providers' responses to some accounts' mails: they may quote the address.
UPDATE notices SET reason = NULL WHERE account_key = ANY(%(keys)s) AND reason IS NOT NULL;

-- :name forget_reports
-- Erase the texts of providers' reports about some accounts' mails.
UPDATE mail_events SET reason = NULL FROM notices
WHERE notices.account_key = ANY(%(keys)s)
  AND mail_events.notice_id = notices.notice_id AND mail_events.reason IS NOT NULL;

-- :name forget_hashes_of_accepted
-- Erase the address hashes of mails to deleted accounts that were accepted long ago. This changes
-- nothing that is published.
UPDATE notices SET address_hash = NULL WHERE notice_id IN (
    SELECT notice_id FROM notices
    WHERE dead AND address_hash IS NOT NULL AND accepted_at <= %(until)s
    LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED);

-- :name forget_hashes_of_others
-- Erase the address hashes of mails to deleted accounts that were never accepted, and last tried
-- long ago: in attempts that precede the first one since, as in `settle_unknown`.
UPDATE notices SET address_hash = NULL WHERE notice_id IN (
    SELECT notice_id FROM notices JOIN attempts USING (attempt_id)
    WHERE dead AND address_hash IS NOT NULL AND accepted_at IS NULL
      AND coalesce(ended_at, started_at) <= %(until)s
      AND attempt_id < coalesce((SELECT attempt_id FROM attempts WHERE started_at > %(until)s
                                 ORDER BY started_at LIMIT 1), 9223372036854775807)
    LIMIT %(limit)s FOR NO KEY UPDATE OF notices SKIP LOCKED);
