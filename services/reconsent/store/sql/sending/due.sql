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

-- :name first_asks
-- Find in each bucket of a lane the first ask, after one, of which notices of a version can be claimed.
SELECT buckets.bucket, first.ask_id
FROM buckets CROSS JOIN LATERAL (
    SELECT notices.ask_id FROM notices
    WHERE notices.bucket = buckets.bucket AND notices.version_id = %(version_id)s
      AND notices.ask_id > %(after)s AND {is_due} AND notices.not_before IS NULL
    ORDER BY notices.ask_id LIMIT 1
) AS first
WHERE mod(buckets.bucket, %(lanes)s) = %(lane)s;

-- :name claim
-- Claim notices of a bucket that are due, of one version and a range of asks, with their accounts as
-- they are now; locked rows are skipped.
SELECT notices.account_key, notices.notice_id, notices.kind, notices.version_id,
       reach.property AS property_name, reach.email, reach.name, reach.locale, reach.address_hash,
-- :include reach_number
       AS reach_number, reach.holdings_id, reach.standing_id,
       reminded.notice_id AS about, reminded.state AS about_state, reminded.ask_id AS about_ask_id,
       NOT reminded.dead AND NOT reminded.undelivered AND reminded.settled IS NULL
           AND reminded.notice_id = (
               SELECT last.notice_id FROM last_notices AS last
               WHERE last.bucket = %(bucket)s AND last.account_key = reminded.account_key
                 AND last.version_id = reminded.version_id) AS about_open,
       reminded.accepted_at AS about_accepted_at,
       -- What the notice repeats, if that has arrived since.
       CASE WHEN notices.sequence > 1 AND notices.kind = 'choice' THEN (
           SELECT CASE WHEN kind = 'choice' AND undelivered AND again = 'arrived' AND NOT dead
                       THEN repeated.ask_id END
           FROM notices AS repeated
           WHERE repeated.bucket = %(bucket)s AND repeated.account_key = notices.account_key
             AND repeated.version_id = notices.version_id
             AND repeated.sequence < notices.sequence AND repeated.kind <> 'reminder'
             AND (repeated.state <> 'superseded' OR repeated.again IS DISTINCT FROM 'arrived')
           ORDER BY repeated.sequence DESC LIMIT 1
       ) END AS arrived_ask_id
FROM notices JOIN account_reach AS reach
  ON reach.bucket = notices.bucket AND reach.account_key = notices.account_key
LEFT JOIN notices AS reminded
  ON reminded.bucket = notices.bucket AND reminded.account_key = notices.account_key
 AND reminded.notice_id = notices.about
WHERE notices.bucket = %(bucket)s AND notices.version_id = %(version_id)s
  AND notices.ask_id > %(after)s AND notices.ask_id <= %(upto)s
  AND {is_due} AND notices.not_before IS NULL
ORDER BY notices.ask_id
LIMIT %(limit)s
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF reach SKIP LOCKED;

-- :name any_due
-- Tell whether any notice waits to be sent.
SELECT EXISTS (SELECT 1 FROM buckets WHERE EXISTS (
           SELECT 1 FROM notices
           WHERE notices.bucket = buckets.bucket AND {is_due} AND notices.not_before IS NULL))
    OR EXISTS (SELECT 1 FROM notices WHERE {is_due} AND not_before <= %(now)s);
