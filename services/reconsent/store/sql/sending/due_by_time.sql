-- :name settle_unknown
-- Let time settle what became of some messages: given up, or sent again. Attempts are numbered as
-- they start, so those that started before `until` precede the first that started after it: the
-- notices of later ones are not read.
WITH written AS (
    UPDATE notices SET
        state = CASE WHEN dead THEN 'abandoned' ELSE %(state)s END,
        tried = CASE WHEN dead OR %(state)s = 'abandoned' THEN tried
                     ELSE tried_too(tried, attempt_id, 'unknown') END
    FROM (
        SELECT bucket, account_key, version_id, sequence
        FROM notices JOIN attempts USING (attempt_id)
        WHERE state = 'unknown' AND ended_at <= %(until)s
          AND attempt_id < coalesce((SELECT attempt_id FROM attempts WHERE started_at > %(until)s
                                     ORDER BY started_at LIMIT 1), 9223372036854775807)
        LIMIT %(limit)s
    ) AS unsettled
    WHERE notices.bucket = unsettled.bucket AND notices.account_key = unsettled.account_key
      AND notices.version_id = unsettled.version_id AND notices.sequence = unsettled.sequence
      AND notices.state = 'unknown'
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, 'unknown' AS was_state, NULL AS was_suppression
)
-- :include notices_written

-- :name is_open
-- What the queries below have in common: a mailed question that its account can still answer. Those
-- that lock name one bucket everywhere.
notices.kind = 'choice'
  AND notices.settled IS NULL AND NOT notices.undelivered AND NOT notices.dead
  AND notices.state IN ('accepted', 'delivered', 'complained')
  AND notices.notice_id = (
      SELECT last.notice_id FROM last_notices AS last
      WHERE last.bucket = {bucket} AND last.account_key = notices.account_key
        AND last.version_id = notices.version_id)

-- :name to_remind_of
-- Find open mailed questions for which a reminder's time has come, and no later one's. `before` are
-- the numbers of earlier reminders: equality with each lets the index find those due by their time.
SELECT account_key, notice_id FROM notices
WHERE version_id = %(version_id)s AND reminded = ANY(%(before)s)
  AND accepted_at <= %(accepted_until)s AND accepted_at > %(accepted_after)s
  AND {is_open}
LIMIT %(limit)s;

-- :name lock_to_remind_of
-- Lock such questions of a bucket, and read their accounts; locked ones are skipped.
SELECT notices.notice_id, notices.account_key, notices.ask_id,
       accounts.holdings_id, accounts.standing_id, accounts.status, accounts.contact,
       accounts.minor, accounts.address
FROM notices JOIN account_reach AS accounts
  ON accounts.bucket = notices.bucket AND accounts.account_key = notices.account_key
WHERE notices.bucket = %(bucket)s AND notices.account_key = ANY(%(keys)s::bigint[])
  AND notices.notice_id = ANY(%(notice_ids)s::uuid[]) AND notices.reminded = ANY(%(before)s)
  AND {is_open}
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF accounts SKIP LOCKED;

-- :name remind
-- Plan reminders, each with the next sequence of its account, and note it with the question.
WITH reminded AS (
    UPDATE notices SET reminded = %(occasion)s
    FROM listed(%(account_key)s::bigint[], %(about)s::uuid[])
    WHERE notices.bucket = listed.bucket AND notices.account_key = listed.account_key
      AND notices.notice_id = listed.notice_id
), planned AS MATERIALIZED (  -- Citus would not write what it computes here
    SELECT accounts.bucket, planned.account_key, property, account, planned.state,
           planned.suppression, planned.ask_id, planned.about,
           last.sequence + 1 AS sequence
    FROM unnest(%(account_key)s::bigint[], %(state)s::text[], %(suppression)s::text[],
                %(ask_id)s::bigint[], %(about)s::uuid[])
         AS planned (account_key, state, suppression, ask_id, about)
    JOIN accounts ON accounts.bucket = bucket_of(planned.account_key)
                 AND accounts.account_key = planned.account_key
    JOIN (
        SELECT bucket, account_key, max(sequence) AS sequence
        FROM notices JOIN listed(%(account_key)s::bigint[]) USING (bucket, account_key)
        WHERE version_id = %(version_id)s GROUP BY bucket, account_key
    ) AS last ON last.bucket = accounts.bucket AND last.account_key = accounts.account_key
), written AS (
    INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state,
                         suppression, ask_id, about, occasion)
    SELECT bucket, account_key, version_id, sequence,
           notice_id(published, stem, mask, account_key, property, account, sequence),
           'reminder', state, suppression, ask_id, about, %(occasion)s
    FROM planned JOIN notice_stems ON version_id = %(version_id)s
    RETURNING bucket, account_key, version_id, kind, state, suppression, NULL AS was_state,
              NULL AS was_suppression
)
-- :include notices_written

-- :name overdue
-- Find open mailed questions whose time to respond is over, whatever reminders they had.
SELECT account_key, notice_id FROM notices
WHERE version_id = %(version_id)s AND reminded = ANY(%(reminded)s)
  AND accepted_at <= %(accepted_until)s
  AND {is_open}
LIMIT %(limit)s;

-- :name lock_overdue
-- Lock such questions of a bucket with their accounts; locked ones are skipped.
SELECT notices.notice_id, notices.account_key, accounts.property AS property_name, accounts.account,
       notices.accepted_at, holdings_id, standing_id, notices.ask_id
FROM notices
JOIN accounts ON accounts.bucket = notices.bucket AND accounts.account_key = notices.account_key
JOIN account_sets AS sets
  ON sets.bucket = notices.bucket AND sets.account_key = notices.account_key
WHERE notices.bucket = %(bucket)s AND notices.account_key = ANY(%(keys)s::bigint[])
  AND notices.notice_id = ANY(%(notice_ids)s::uuid[])
  AND {is_open}
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR NO KEY UPDATE OF accounts SKIP LOCKED;
