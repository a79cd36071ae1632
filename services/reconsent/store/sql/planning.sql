-- :name unplanned
-- Find the versions that are not fully planned, oldest first.
SELECT version_id, planned_to FROM releases
WHERE state = 'planning' AND version_id = ANY(%(versions)s) ORDER BY version_id;

-- :name any_unplanned
-- Tell whether any version is not fully planned.
SELECT EXISTS (SELECT FROM releases WHERE state = 'planning');

-- :name look_at
-- Read some accounts' situations once, for `situations` and `take_steps`.
CREATE TEMPORARY TABLE looked_at ON COMMIT DROP AS
SELECT account_key, version_id, holdings_id, standing_id, status, contact, minor, address,
       last_notice, last_sequence, last_kind, last_state, last_ask, last_undelivered, last_dead,
       %(release)s AND (account_key > %(inform_after)s OR passes_on) AS inform
FROM situations
WHERE account_key = ANY(%(keys)s) AND policy = %(policy)s;

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
-- Take for each account the step that the rules decided for its situation.
WITH steps AS (
    SELECT * FROM unnest(
        %(holdings_id)s::integer[], %(standing_id)s::integer[], %(status)s::text[],
        %(contact)s::text[], %(minor)s::boolean[], %(address)s::text[], %(last_kind)s::text[],
        %(last_state)s::text[], %(last_ask)s::integer[], %(last_undelivered)s::boolean[],
        %(last_dead)s::boolean[], %(inform)s::boolean[], %(plan)s::text[], %(last)s::text[],
        %(suppression)s::text[], %(settles)s::boolean[], %(settled)s::text[],
        %(ask_id)s::integer[]
    ) AS steps (holdings_id, standing_id, status, contact, minor, address, last_kind, last_state,
                last_ask, last_undelivered, last_dead, inform, plan, last, suppression, settles,
                settled, ask_id)
), slice AS (
    SELECT looked_at.account_key, version_id, last_notice, last_sequence, plan,
           CASE WHEN last = 'due' THEN %(ready)s ELSE last END AS last,
           suppression, settles, settled, ask_id
    FROM looked_at
    JOIN steps USING (holdings_id, standing_id, status, contact, minor, address, last_kind,
                      last_state, last_ask, last_undelivered, last_dead, inform)
), ended AS (
    UPDATE notices SET
        state = slice.last,
        suppression = CASE WHEN slice.last = 'suppressed' THEN slice.suppression END,
        ask_id = CASE WHEN slice.last = 'superseded' THEN notices.ask_id ELSE slice.ask_id END,
        dead = slice.last = 'suppressed' AND slice.suppression = 'deleted'
    FROM slice
    WHERE notices.notice_id = slice.last_notice AND slice.last IS NOT NULL
      AND notices.state IN ('planned', 'due', 'suppressed') AND NOT notices.dead
      AND (notices.state, notices.suppression, notices.ask_id) IS DISTINCT FROM (
          slice.last, CASE WHEN slice.last = 'suppressed' THEN slice.suppression END,
          slice.ask_id)
    RETURNING notices.account_key
), settling AS (
    UPDATE notices SET settled = slice.settled
    FROM slice
    WHERE notices.notice_id = slice.last_notice AND slice.settles
      AND notices.settled IS DISTINCT FROM slice.settled
    RETURNING notices.account_key
), added AS (
    INSERT INTO notices (account_key, version_id, sequence, kind, state, suppression, ask_id)
    SELECT account_key, version_id,
           -- Reminders have sequences too.
           CASE WHEN last_sequence = 0 THEN 1
                ELSE (SELECT max(sequence) + 1 FROM notices
                      WHERE notices.account_key = slice.account_key
                        AND notices.version_id = slice.version_id) END, plan,
           CASE WHEN suppression IS NULL THEN %(ready)s ELSE 'suppressed' END, suppression,
           CASE WHEN plan = 'choice' THEN ask_id ELSE 0 END
    FROM slice WHERE plan IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING account_key
)
INSERT INTO changes (account_key, stream)
SELECT account_key, 'notices'
FROM (TABLE ended UNION ALL TABLE settling UNION ALL TABLE added) AS written;

-- :name planned_to
-- Store how far a version is planned.
UPDATE releases SET planned_to = %(planned_to)s WHERE version_id = %(version_id)s;

-- :name finish
-- Finish the planning of a version and of earlier ones planned with it.
UPDATE releases SET state = CASE WHEN version_id = %(version_id)s THEN 'sending' ELSE 'done' END
WHERE version_id = ANY(%(versions)s);

-- :name audience
-- Count the accounts in each situation of a policy, for the preview of a version.
SELECT holdings_id, standing_id, status, contact, minor, address, passes_on,
       count(*) AS accounts
FROM situations
WHERE policy = %(policy)s AND status <> 'deleted'
GROUP BY holdings_id, standing_id, status, contact, minor, address, passes_on;
