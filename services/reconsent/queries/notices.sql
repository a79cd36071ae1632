-- :name claim
-- Claim notices that are due, with their accounts as they are now; whoever is busy is passed over.
SELECT notices.notice_id, notices.kind, notices.version_id, accounts.property, accounts.email,
       accounts.name, accounts.locale, accounts.address_hash,
       reminded.notice_id, reminded.state, reminded.ask_id,
       NOT reminded.dead AND NOT reminded.undelivered AND reminded.settled IS NULL
           AND NOT EXISTS (
               SELECT FROM notices AS later
               WHERE later.account_key = reminded.account_key
                 AND later.version_id = reminded.version_id
                 AND later.sequence > reminded.sequence AND later.kind <> 'reminder'),
       reminded.accepted_at, accounts.holdings_id, accounts.standing_id, accounts.status,
       CASE WHEN contact = 'all' AND unsubscribed THEN 'service' ELSE contact END, accounts.minor,
       CASE WHEN email IS NULL THEN 'none'
            WHEN complained OR EXISTS (
                SELECT FROM bounced_addresses AS bounced
                WHERE bounced.address_hash = accounts.address_hash) THEN 'bounced'
            ELSE 'ok' END
FROM notices JOIN accounts USING (account_key)
LEFT JOIN notices AS reminded ON reminded.notice_id = notices.about
WHERE notices.state = 'due' AND notices.version_id = ANY(%(latest)s)
  AND (notices.not_before IS NULL OR notices.not_before <= %(now)s)
  AND notices.version_id NOT IN (
      SELECT version_id FROM releases WHERE coalesce(paused_at, cancelled_at) IS NOT NULL)
ORDER BY notices.version_id, notices.ask_id
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF accounts SKIP LOCKED;

-- :name any_due
-- Tell whether any notice waits to be sent.
SELECT EXISTS (
    SELECT FROM notices
    WHERE state = 'due' AND version_id = ANY(%(latest)s)
      AND (not_before IS NULL OR not_before <= %(now)s)
      AND version_id NOT IN (
          SELECT version_id FROM releases WHERE coalesce(paused_at, cancelled_at) IS NOT NULL));

-- :name let_go
-- Write what a second look made of claimed notices that are not to be sent.
UPDATE notices SET state = told.state, suppression = told.suppression,
    changed = pg_current_xact_id(),
    dead = told.suppression IS NOT DISTINCT FROM 'deleted'
FROM unnest(%(notice_id)s::uuid[], %(state)s::text[], %(suppression)s::text[])
     AS told (notice_id, state, suppression)
WHERE notices.notice_id = told.notice_id;

-- :name begin_attempt
-- Note that notices are about to be handed to a provider.
INSERT INTO attempts (provider, lease, members, payload_hash)
VALUES (%(provider)s, %(lease)s, %(members)s, %(payload_hash)s) RETURNING attempt_id;

-- :name attempt
-- Notices become part of an attempt, with what they ask and say and where they go.
UPDATE notices SET state = 'attempting', attempt_id = %(attempt_id)s, ask_id = %(ask_id)s,
    not_before = NULL,
    rendering = %(rendering)s, address_hash = told.address_hash,
    changed = pg_current_xact_id()
FROM unnest(%(notice_id)s::uuid[], %(address_hash)s::bytea[]) AS told (notice_id, address_hash)
WHERE notices.notice_id = told.notice_id;

-- :name end_attempt
-- Note when an attempt ended, and how many of its members had which outcome.
UPDATE attempts SET ended_at = clock_timestamp(), outcome = %(outcome)s
WHERE attempt_id = %(attempt_id)s;

-- :name by_index
-- Look notices up by index: going through all of them would take longer with each that there is.
SET LOCAL enable_seqscan = off;

-- :name outcomes
-- Write what became of the members of an attempt, unless something later is known already.
UPDATE notices SET
    changed = pg_current_xact_id(),
    state = CASE WHEN told.outcome = 'retry' AND notices.dead THEN 'suppressed'
                 WHEN told.outcome = 'retry' THEN 'due' ELSE told.outcome END,
    suppression = CASE WHEN told.outcome = 'retry' AND notices.dead THEN 'deleted' END,
    accepted_at = CASE WHEN told.outcome = 'accepted' THEN %(now)s::timestamptz END,
    undelivered = told.outcome = 'rejected',
    reason = told.reason,
    not_before = told.not_before,
    tried = CASE WHEN told.outcome = 'retry'
                 THEN coalesce(tried, '[]') || jsonb_build_array(jsonb_build_array(attempt_id, 'retry'))
                 ELSE tried END
FROM unnest(%(notice_id)s::uuid[], %(outcome)s::text[], %(reason)s::text[],
            %(not_before)s::timestamptz[]) AS told (notice_id, outcome, reason, not_before)
WHERE notices.notice_id = told.notice_id AND notices.attempt_id = %(attempt_id)s
  AND (notices.state IN ('attempting', 'unknown')
       -- Whoever was taken for dead tells what it knows, as long as nobody has sent it again.
       OR notices.state = 'abandoned' AND told.outcome <> 'unknown'
       OR notices.state = 'due' AND told.outcome IN ('accepted', 'rejected'));

-- :name hand_over
-- Note that an attempt is handed over from now on; nothing where it was taken for abandoned.
UPDATE attempts SET outcome = 'handed over'
WHERE attempt_id = %(attempt_id)s AND ended_at IS NULL RETURNING attempt_id;

-- :name abandoned_attempts
-- Find attempts that were begun and never ended, whose sender's lease is gone or is the asking
-- one's own, and tell whether they were handed over.
SELECT attempt_id, outcome IS NOT NULL FROM attempts
WHERE ended_at IS NULL AND (lease = %(lease)s OR pg_try_advisory_xact_lock(lease))
ORDER BY attempt_id FOR UPDATE SKIP LOCKED;

-- :name settle_abandoned
-- What became of unfinished attempts is unknown, or they may be made again: surely where they were
-- never handed over (retry).
WITH ended AS (
    UPDATE attempts SET ended_at = clock_timestamp(), outcome = 'abandoned'
    WHERE attempt_id = ANY(%(attempts)s)
)
UPDATE notices SET
    state = CASE WHEN NOT dead THEN %(state)s
                 WHEN %(why)s = 'retry' THEN 'suppressed' ELSE 'unknown' END,
    suppression = CASE WHEN dead AND %(why)s = 'retry' THEN 'deleted' END,
    tried = CASE WHEN %(state)s = 'unknown' OR (dead AND %(why)s <> 'retry') THEN tried
                 ELSE coalesce(tried, '[]')
                      || jsonb_build_array(jsonb_build_array(attempt_id, %(why)s::text)) END,
    changed = pg_current_xact_id()
WHERE attempt_id = ANY(%(attempts)s) AND state = 'attempting';

-- :name settle_unknown
-- Let time settle what became of some messages: given up, or sent again.
UPDATE notices SET
    state = CASE WHEN dead THEN 'abandoned' ELSE %(state)s END,
    tried = CASE WHEN dead OR %(state)s = 'abandoned' THEN tried
                 ELSE coalesce(tried, '[]')
                      || jsonb_build_array(jsonb_build_array(attempt_id, 'unknown')) END,
    changed = pg_current_xact_id()
WHERE state = 'unknown' AND notice_id IN (
    SELECT notice_id FROM notices JOIN attempts USING (attempt_id)
    WHERE state = 'unknown' AND ended_at <= %(until)s
    LIMIT %(limit)s FOR NO KEY UPDATE OF notices SKIP LOCKED);

-- :name to_remind_of
-- Find open mailed questions for which a reminder's time has come, and no later one's.
SELECT notices.notice_id, notices.account_key, notices.version_id, notices.ask_id,
       accounts.holdings_id, accounts.standing_id, accounts.status, accounts.contact,
       accounts.minor,
       CASE WHEN email IS NULL THEN 'none'
            WHEN complained OR EXISTS (
                SELECT FROM bounced_addresses AS bounced
                WHERE bounced.address_hash = accounts.address_hash) THEN 'bounced'
            ELSE 'ok' END
FROM notices JOIN accounts USING (account_key)
WHERE notices.version_id = %(version_id)s AND notices.kind = 'choice'
  AND notices.settled IS NULL AND NOT notices.undelivered AND NOT notices.dead
  AND notices.state IN ('accepted', 'delivered', 'complained')
  AND notices.accepted_at <= %(accepted_until)s AND notices.accepted_at > %(accepted_after)s
  AND NOT EXISTS (
      SELECT FROM notices AS reminder
      WHERE reminder.about = notices.notice_id AND reminder.occasion >= %(occasion)s)
  AND NOT EXISTS (
      SELECT FROM notices AS later
      WHERE later.account_key = notices.account_key AND later.version_id = notices.version_id
        AND later.sequence > notices.sequence AND later.kind = 'choice')
ORDER BY notices.account_key
LIMIT %(limit)s
FOR SHARE OF accounts SKIP LOCKED;

-- :name remind
-- Plan reminders, each with the next sequence of its account.
INSERT INTO notices (account_key, version_id, sequence, kind, state, suppression, ask_id, about,
                     occasion)
SELECT told.account_key, told.version_id,
       (SELECT max(sequence) + 1 FROM notices
        WHERE notices.account_key = told.account_key
          AND notices.version_id = told.version_id),
       'reminder', told.state, told.suppression, told.ask_id, told.about, %(occasion)s
FROM unnest(%(account_key)s::bigint[], %(version_id)s::integer[], %(state)s::text[],
            %(suppression)s::text[], %(ask_id)s::integer[], %(about)s::uuid[])
     AS told (account_key, version_id, state, suppression, ask_id, about);

-- :name keep_rendering
-- Keep what was rendered, by its hash.
INSERT INTO renderings (rendering, version_id, ask_id, property, locale, template, content)
VALUES (%(rendering)s, %(version_id)s, %(ask_id)s, %(property)s, %(locale)s, %(template)s,
        %(content)s)
ON CONFLICT DO NOTHING;

-- :name page_shown
-- Read what a page of a property asked, and in the words of which version.
SELECT asks.members, version_id FROM renderings JOIN asks USING (ask_id)
WHERE rendering = %(rendering)s AND property = %(property)s AND template = 'page';

-- :name overdue
-- Find open mailed questions whose time to respond is over.
SELECT notices.notice_id, accounts.property, accounts.account, notices.accepted_at,
       accounts.holdings_id, accounts.standing_id, notices.ask_id
FROM notices JOIN accounts USING (account_key)
WHERE notices.version_id = %(version_id)s AND notices.kind = 'choice'
  AND notices.settled IS NULL AND NOT notices.undelivered AND NOT notices.dead
  AND notices.state IN ('accepted', 'delivered', 'complained')
  AND notices.accepted_at <= %(accepted_until)s
  AND NOT EXISTS (
      SELECT FROM notices AS later
      WHERE later.account_key = notices.account_key AND later.version_id = notices.version_id
        AND later.sequence > notices.sequence AND later.kind = 'choice')
ORDER BY notices.account_key
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR NO KEY UPDATE OF accounts SKIP LOCKED;

-- :name settle
-- Note what became of questions.
UPDATE notices SET settled = %(settled)s, changed = pg_current_xact_id()
WHERE notice_id = ANY(%(notice_ids)s);

-- :name find
-- Read one notice with its account, for the page that its link opens.
SELECT notices.notice_id, notices.kind, notices.version_id, notices.ask_id, notices.accepted_at,
       notices.dead, accounts.property, accounts.account, accounts.status, accounts.minor,
       accounts.locale, accounts.holdings_id, accounts.standing_id, accounts.account_key
FROM notices JOIN accounts USING (account_key)
WHERE notice_id = %(notice_id)s;

-- :name list
-- Read notices with what decides how they stand, by account, version and sequence.
SELECT notice_id, property, account, version_id, sequence, kind, state, suppression, settled,
       ask_id, dead, undelivered,
       NOT EXISTS (
           SELECT FROM notices AS later
           WHERE later.account_key = notices.account_key
             AND later.version_id = notices.version_id
             AND later.sequence > notices.sequence AND later.kind <> 'reminder'),
       holdings_id, standing_id
FROM notices JOIN accounts USING (account_key)
WHERE version_id = ANY(%(versions)s)
  AND (%(property)s::text IS NULL OR property = %(property)s)
  AND (%(account)s::text IS NULL OR account = %(account)s)
ORDER BY property COLLATE "C", account COLLATE "C", version_id, sequence;

-- :name count_states
-- Count notices of each version by kind, state and reason.
SELECT version_id, kind, state, suppression, count(*)
FROM notices GROUP BY version_id, kind, state, suppression
ORDER BY version_id, kind, state, suppression;

-- :name services
-- Count the processes that run each service, by what their connections call themselves.
SELECT service, count(DISTINCT application_name)
FROM pg_stat_activity
CROSS JOIN LATERAL unnest(string_to_array(split_part(application_name, ' ', 2), ',')) AS service
WHERE datname = current_database() AND application_name LIKE 'reconsent %%'
  AND service <> 'command'
GROUP BY service ORDER BY service;
