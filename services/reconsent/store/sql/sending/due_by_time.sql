-- :name settle_unknown
-- Let time settle what became of some messages: given up, or sent again. Attempts are numbered as
-- they start, so those that started before `until` precede the first that started after it: the
-- notices of later ones are not read.
WITH written AS (
    UPDATE notices SET
        state = CASE WHEN dead THEN 'abandoned' ELSE %(state)s END,
        tried = CASE WHEN dead OR %(state)s = 'abandoned' THEN tried
                     ELSE coalesce(tried, '[]')
                          || jsonb_build_array(jsonb_build_array(attempt_id, 'unknown')) END
    WHERE state = 'unknown' AND notice_id IN (
        SELECT notice_id FROM notices JOIN attempts USING (attempt_id)
        WHERE state = 'unknown' AND ended_at <= %(until)s
          AND attempt_id < coalesce((SELECT attempt_id FROM attempts WHERE started_at > %(until)s
                                     ORDER BY started_at LIMIT 1), 9223372036854775807)
        LIMIT %(limit)s FOR NO KEY UPDATE OF notices SKIP LOCKED)
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name is_open
-- What the queries below have in common: a mailed question that its account can still answer.
notices.kind = 'choice'
  AND notices.settled IS NULL AND NOT notices.undelivered AND NOT notices.dead
  AND notices.state IN ('accepted', 'delivered', 'complained')
  AND notices.notice_id = (
      SELECT last.notice_id FROM last_notices AS last
      WHERE last.account_key = notices.account_key AND last.version_id = notices.version_id)

-- :name to_remind_of
-- Find open mailed questions for which a reminder's time has come, and no later one's. `before` are
-- the numbers of earlier reminders: equality with each lets the index find those due by their time.
SELECT notices.notice_id, notices.account_key, notices.ask_id,
       accounts.holdings_id, accounts.standing_id, accounts.status, accounts.contact,
       accounts.minor, accounts.address
FROM notices JOIN account_reach AS accounts USING (account_key)
WHERE notices.version_id = %(version_id)s AND notices.reminded = ANY(%(before)s)
  AND notices.accepted_at <= %(accepted_until)s AND notices.accepted_at > %(accepted_after)s
  AND {is_open}
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF accounts SKIP LOCKED;

-- :name remind
-- Plan reminders, each with the next sequence of its account, and note it with the question.
WITH reminded AS (
    UPDATE notices SET reminded = %(occasion)s WHERE notice_id = ANY(%(about)s::uuid[])
), written AS (
    INSERT INTO notices (account_key, version_id, sequence, kind, state, suppression, ask_id, about,
                         occasion)
    SELECT planned.account_key, %(version_id)s,
           (SELECT max(sequence) + 1 FROM notices
            WHERE notices.account_key = planned.account_key
              AND notices.version_id = %(version_id)s),
           'reminder', planned.state, planned.suppression, planned.ask_id, planned.about, %(occasion)s
    FROM unnest(%(account_key)s::bigint[], %(state)s::text[], %(suppression)s::text[],
                %(ask_id)s::integer[], %(about)s::uuid[])
         AS planned (account_key, state, suppression, ask_id, about)
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name overdue
-- Find open mailed questions whose time to respond is over, whatever reminders they had.
SELECT notices.notice_id, accounts.property AS property_name, accounts.account,
       notices.accepted_at,
       accounts.holdings_id, accounts.standing_id, notices.ask_id
FROM notices JOIN accounts USING (account_key)
WHERE notices.version_id = %(version_id)s AND notices.reminded = ANY(%(reminded)s)
  AND notices.accepted_at <= %(accepted_until)s
  AND {is_open}
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR NO KEY UPDATE OF accounts SKIP LOCKED;
