-- :name is_due
-- What the queries below have in common: which notices may be sent, some of them only later.
notices.state = 'due' AND notices.version_id = ANY(%(latest)s)
  AND notices.version_id NOT IN (
      SELECT version_id FROM releases WHERE coalesce(paused_at, cancelled_at) IS NOT NULL)

-- :name end_deferral
-- Return notices that were deferred until now to those that can be claimed.
UPDATE notices SET not_before = NULL WHERE notice_id IN (
    SELECT notice_id FROM notices WHERE {is_due} AND not_before <= %(now)s
    LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED);

-- :name claim
-- Claim notices that are due, with their accounts as they are now; locked rows are skipped.
SELECT notices.notice_id, notices.kind, notices.version_id, accounts.property AS property_name,
       accounts.email,
       accounts.name, accounts.locale, accounts.address_hash,
       reminded.notice_id AS about, reminded.state AS about_state, reminded.ask_id AS about_ask_id,
       NOT reminded.dead AND NOT reminded.undelivered AND reminded.settled IS NULL
           AND reminded.notice_id = (
               SELECT last.notice_id FROM last_notices AS last
               WHERE last.account_key = reminded.account_key AND last.version_id = reminded.version_id) AS about_open,
       reminded.accepted_at AS about_accepted_at, accounts.holdings_id, accounts.standing_id, accounts.status,
       accounts.contact, accounts.minor, accounts.address
FROM notices JOIN account_reach AS accounts USING (account_key)
LEFT JOIN notices AS reminded ON reminded.notice_id = notices.about
WHERE {is_due} AND notices.not_before IS NULL
ORDER BY notices.version_id, notices.ask_id
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF accounts SKIP LOCKED;

-- :name any_due
-- Tell whether any notice waits to be sent.
SELECT EXISTS (SELECT FROM notices WHERE {is_due} AND not_before IS NULL)
    OR EXISTS (SELECT FROM notices WHERE {is_due} AND not_before <= %(now)s);

-- :name let_go
-- Write the new states of claimed notices that are not sent.
WITH written AS (
    UPDATE notices SET state = decided.state, suppression = decided.suppression,
        dead = decided.suppression IS NOT DISTINCT FROM 'deleted'
    FROM unnest(%(notice_id)s::uuid[], %(state)s::text[], %(suppression)s::text[])
         AS decided (notice_id, state, suppression)
    WHERE notices.notice_id = decided.notice_id
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;

-- :name begin_attempt
-- Note that notices are about to be handed to a provider.
INSERT INTO attempts (provider, lease, members, payload_hash)
VALUES (%(provider)s, %(lease)s, %(members)s, %(payload_hash)s) RETURNING attempt_id;

-- :name attempt
-- Notices become part of an attempt, with what they ask and say and where they go.
WITH written AS (
    UPDATE notices SET state = 'attempting', attempt_id = %(attempt_id)s, ask_id = %(ask_id)s,
        not_before = NULL,
        rendering = %(rendering)s, address_hash = members.address_hash
    FROM unnest(%(notice_id)s::uuid[], %(address_hash)s::bytea[]) AS members (notice_id, address_hash)
    WHERE notices.notice_id = members.notice_id
    RETURNING account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'notices' FROM written;
