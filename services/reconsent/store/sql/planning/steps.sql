-- :name look_at
-- Read some accounts' situations once, for `situations` and `take_steps`. While a release is planned, it
-- informs the accounts that `inform_after` says, by bucket.
CREATE TEMPORARY TABLE looked_at ON COMMIT DROP AS
SELECT reach.bucket, reach.account_key, property, account, version_id, holdings_id, standing_id,
       status, contact, minor, address, last_sequence, next_sequence, last_kind, last_state,
       last_suppression, last_ask, last_undelivered, last_dead,
       %(release)s AND (
           reach.account_key > (%(inform_after)s::bigint[])[reach.bucket + 1] OR
-- :include passes_on
       ) AS inform
FROM listed(%(keys)s::bigint[]) JOIN situations AS reach USING (bucket, account_key)
WHERE policy = %(policy)s;

-- :name looked
-- Drop the table, so that the accounts of another policy can be read next.
DROP TABLE looked_at;

-- :name situations
-- List the distinct situations of the accounts: the rules decide once for each.
SELECT holdings_id, standing_id, status, contact, minor, address, last_kind, last_state, last_ask,
       last_undelivered, last_dead, inform
FROM looked_at
GROUP BY holdings_id, standing_id, status, contact, minor, address, last_kind, last_state,
         last_ask, last_undelivered, last_dead, inform;

-- :name take_steps
-- Take for each account the step that the rules decided for its situation. A notice whose state has
-- changed since was claimed or closed by somebody who looked at its account under lock.
WITH steps AS (
    SELECT * FROM unnest(
        %(holdings_id)s::bigint[], %(standing_id)s::bigint[], %(status)s::text[],
        %(contact)s::text[], %(minor)s::boolean[], %(address)s::text[], %(last_kind)s::text[],
        %(last_state)s::text[], %(last_ask)s::bigint[], %(last_undelivered)s::boolean[],
        %(last_dead)s::boolean[], %(inform)s::boolean[], %(plan)s::text[], %(last)s::text[],
        %(suppression)s::text[], %(settles)s::boolean[], %(settled)s::text[],
        %(ask_id)s::bigint[]
    ) AS steps (holdings_id, standing_id, status, contact, minor, address, last_kind, last_state,
                last_ask, last_undelivered, last_dead, inform, plan, last, suppression, settles,
                settled, ask_id)
), slice AS (
    SELECT looked_at.bucket, looked_at.account_key, property, account, version_id, last_sequence,
           next_sequence, last_state, last_suppression, plan, CASE WHEN last = 'due' THEN %(ready)s ELSE last END AS last,
           suppression, settles, settled, ask_id
    FROM looked_at
    JOIN steps USING (holdings_id, standing_id, status, contact, minor, address, last_kind,
                      last_state, last_ask, last_undelivered, last_dead, inform)
), ended AS (
    UPDATE notices SET
        state = step.last,
        suppression = CASE WHEN step.last = 'suppressed' THEN step.suppression END,
        ask_id = CASE WHEN step.last = 'superseded' THEN notices.ask_id ELSE step.ask_id END,
        dead = step.last = 'suppressed' AND step.suppression = 'deleted'
    FROM slice AS step
    WHERE notices.bucket = step.bucket AND notices.account_key = step.account_key
      AND notices.version_id = step.version_id AND notices.sequence = step.last_sequence
      AND step.last IS NOT NULL
      AND notices.state IN ('planned', 'due', 'suppressed') AND NOT notices.dead
      AND notices.state = step.last_state
      AND notices.suppression IS NOT DISTINCT FROM step.last_suppression
      AND (notices.state, notices.suppression, notices.ask_id) IS DISTINCT FROM (
          step.last, CASE WHEN step.last = 'suppressed' THEN step.suppression END, step.ask_id)
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, step.last_state AS was_state,
              step.last_suppression AS was_suppression
), settling AS (
    UPDATE notices SET settled = slice.settled
    FROM slice
    WHERE notices.bucket = slice.bucket AND notices.account_key = slice.account_key
      AND notices.version_id = slice.version_id AND notices.sequence = slice.last_sequence
      AND slice.settles AND notices.settled IS DISTINCT FROM slice.settled
    RETURNING notices.bucket, notices.account_key, notices.version_id, notices.kind, notices.state,
              notices.suppression, notices.state AS was_state,
              notices.suppression AS was_suppression
), stem AS MATERIALIZED (
    SELECT published, stem, mask FROM notice_stems WHERE version_id = %(version_id)s
), added AS (
    INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state,
                         suppression, ask_id)
    SELECT bucket, account_key, version_id, next_sequence,
           notice_id(published, stem, mask, account_key, property, account, next_sequence), plan,
           CASE WHEN suppression IS NULL THEN %(ready)s ELSE 'suppressed' END, suppression,
           CASE WHEN plan = 'choice' THEN ask_id ELSE 0 END
    FROM slice CROSS JOIN stem
    WHERE plan IS NOT NULL
    RETURNING bucket, account_key, version_id, kind, state, suppression, NULL AS was_state,
              NULL AS was_suppression
), written AS (
    TABLE ended UNION ALL TABLE settling UNION ALL TABLE added
)
-- :include notices_written
