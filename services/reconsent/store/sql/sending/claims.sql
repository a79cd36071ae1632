-- :name is_due
-- What the queries below have in common: which notices may be sent, some of them only later.
notices.state = 'due' AND notices.version_id = ANY(%(latest)s::integer[])
  AND notices.version_id NOT IN (
      SELECT version_id FROM releases WHERE coalesce(paused_at, cancelled_at) IS NOT NULL)

-- :name end_deferral
-- Return notices that were deferred until now to those that can be claimed.
UPDATE notices SET not_before = NULL
FROM (
    SELECT bucket, account_key, version_id, sequence FROM notices
    WHERE {is_due} AND not_before <= %(now)s
    LIMIT %(limit)s
) AS ended
WHERE notices.bucket = ended.bucket AND notices.account_key = ended.account_key
  AND notices.version_id = ended.version_id AND notices.sequence = ended.sequence
  AND notices.state = 'due' AND notices.not_before <= %(now)s;

-- :name buckets_with_due
-- Find the buckets in which notices can be claimed.
SELECT bucket FROM buckets WHERE EXISTS (
    SELECT FROM notices
    WHERE notices.bucket = buckets.bucket AND {is_due} AND notices.not_before IS NULL);

-- :name claim
-- Claim notices of a bucket that are due, with their accounts as they are now; locked rows are
-- skipped.
SELECT notices.account_key, notices.notice_id, notices.kind, notices.version_id,
       accounts.property AS property_name, accounts.email, accounts.name, accounts.locale,
       accounts.address_hash,
       reminded.notice_id AS about, reminded.state AS about_state, reminded.ask_id AS about_ask_id,
       NOT reminded.dead AND NOT reminded.undelivered AND reminded.settled IS NULL
           AND reminded.notice_id = (
               SELECT last.notice_id FROM last_notices AS last
               WHERE last.bucket = %(bucket)s AND last.account_key = reminded.account_key
                 AND last.version_id = reminded.version_id) AS about_open,
       reminded.accepted_at AS about_accepted_at, accounts.holdings_id, accounts.standing_id,
       accounts.status, accounts.contact, accounts.minor, accounts.address
FROM notices JOIN account_reach AS accounts
  ON accounts.bucket = notices.bucket AND accounts.account_key = notices.account_key
LEFT JOIN notices AS reminded
  ON reminded.bucket = notices.bucket AND reminded.account_key = notices.account_key
 AND reminded.notice_id = notices.about
WHERE notices.bucket = %(bucket)s AND {is_due} AND notices.not_before IS NULL
ORDER BY notices.version_id, notices.ask_id
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF accounts SKIP LOCKED;

-- :name any_due
-- Tell whether any notice waits to be sent.
SELECT EXISTS (SELECT 1 FROM buckets WHERE EXISTS (
           SELECT 1 FROM notices
           WHERE notices.bucket = buckets.bucket AND {is_due} AND notices.not_before IS NULL))
    OR EXISTS (SELECT 1 FROM notices WHERE {is_due} AND not_before <= %(now)s);

-- :name let_go
-- Write the new states of claimed notices that are not sent.
WITH written AS (
    UPDATE notices SET state = decided.state, suppression = decided.suppression,
        dead = decided.suppression IS NOT DISTINCT FROM 'deleted'
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(state)s::text[],
                %(suppression)s::text[])
         AS decided (account_key, notice_id, state, suppression)
    WHERE notices.bucket = bucket_of(decided.account_key)
      AND notices.account_key = decided.account_key
      AND notices.notice_id = decided.notice_id
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, 'due' AS was_state, NULL AS was_suppression
)
-- :include notices_written

-- :name begin_attempt
-- Note that notices are about to be handed to a provider. An attempt is numbered by the microsecond
-- in which it begins and by its sender.
INSERT INTO attempts (attempt_id, provider, lease, members, payload_hash)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint << 10 | (%(lease)s & 1023),
        %(provider)s, %(lease)s, %(members)s, %(payload_hash)s)
RETURNING attempt_id;

-- :name attempt
-- Notices become part of an attempt, with what they ask and say and where they go.
WITH written AS (
    UPDATE notices SET state = 'attempting', attempt_id = %(attempt_id)s, ask_id = %(ask_id)s,
        not_before = NULL,
        rendering = %(rendering)s, address_hash = members.address_hash
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(address_hash)s::bytea[])
         AS members (account_key, notice_id, address_hash)
    WHERE notices.bucket = bucket_of(members.account_key)
      AND notices.account_key = members.account_key
      AND notices.notice_id = members.notice_id
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, 'due' AS was_state, NULL AS was_suppression
)
-- :include notices_written
