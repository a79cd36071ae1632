-- :name let_go
-- Write the new states of claimed notices that are not sent.
WITH written AS (
    UPDATE notices SET state = decided.state, suppression = decided.suppression,
        again = decided.again, dead = decided.suppression IS NOT DISTINCT FROM 'deleted'
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(state)s::text[],
                %(suppression)s::text[], %(again)s::text[])
         AS decided (account_key, notice_id, state, suppression, again)
    WHERE notices.bucket = bucket_of(decided.account_key)
      AND notices.account_key = decided.account_key
      AND notices.notice_id = decided.notice_id
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, 'due' AS was_state, NULL AS was_suppression
)
-- :include notices_written

-- :name look_again
-- Have accounts planned again.
WITH written AS (SELECT bucket, account_key FROM listed(%(keys)s::bigint[]))
-- :include accounts_written

-- :name put_off
-- Let claimed notices wait until a time.
UPDATE notices SET not_before = %(until)s
FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[]) AS waiting (account_key, notice_id)
WHERE notices.bucket = bucket_of(waiting.account_key)
  AND notices.account_key = waiting.account_key AND notices.notice_id = waiting.notice_id;

-- :name begin_attempt
-- Note that notices are about to be handed to a provider. An attempt is numbered by the microsecond
-- in which it begins and by its sender; nothing is returned if that number is taken.
INSERT INTO attempts (attempt_id, provider, lease, members, payload_hash)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint << 10 | (%(lease)s & 1023),
        %(provider)s, %(lease)s, %(members)s, %(payload_hash)s)
ON CONFLICT (attempt_id) DO NOTHING
RETURNING attempt_id;

-- :name attempt
-- Notices become part of an attempt, with what they ask and say, and where they go: their accounts are
-- locked. Followers of the log see what comes of the attempt, rather than that it goes on.
WITH written AS (
    UPDATE notices SET state = 'attempting', attempt_id = %(attempt_id)s, ask_id = %(ask_id)s,
        not_before = NULL, rendering = %(rendering)s, address_hash = decode(members.hash, 'hex')
    FROM unnest(string_to_array(%(account_keys)s, ',')::bigint[],
                string_to_array(%(notice_ids)s, ',')::uuid[],
                string_to_array(%(address_hashes)s, ',')) AS members (account_key, notice_id, hash)
    WHERE notices.bucket = bucket_of(members.account_key)
      AND notices.account_key = members.account_key AND notices.notice_id = members.notice_id
    RETURNING notices.bucket, notices.version_id, notices.kind
)
INSERT INTO notice_counts (bucket, version_id, kind, state, suppression, notices)
SELECT bucket, version_id, kind, one.state, NULL, one.sign * count(*)
FROM written CROSS JOIN (VALUES ('attempting', 1), ('due', -1)) AS one (state, sign)
GROUP BY bucket, version_id, kind, one.state, one.sign;
