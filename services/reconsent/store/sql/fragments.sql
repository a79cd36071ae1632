-- :name accounts_added
-- The end of `WITH added AS (INSERT INTO accounts … RETURNING …)`: each account has a row of sets, and
-- is noted as changed.
, sets AS (
    INSERT INTO account_sets (bucket, account_key) SELECT bucket, account_key FROM added
), logged AS (
    INSERT INTO changes (bucket, account_key, stream)
    SELECT bucket, account_key, 'accounts' FROM added
)

-- :name accounts_written
-- The end of a statement that changed accounts or their sets: `written` has their keys.
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'accounts' FROM written;

-- :name notices_written
-- The end of a statement that changed the states of notices: `written` has them as they are now, and
-- their earlier states in `was_state` and `was_suppression`, null where they are new.
, counted AS (
    INSERT INTO notice_counts (bucket, version_id, kind, state, suppression, notices)
    SELECT bucket, version_id, kind, one.state, one.suppression, sum(one.notices)
    FROM written CROSS JOIN LATERAL (
        VALUES (state, suppression, 1), (was_state, was_suppression, -1)
    ) AS one (state, suppression, notices)
    WHERE one.state IS NOT NULL
    GROUP BY bucket, version_id, kind, one.state, one.suppression
    HAVING sum(one.notices) <> 0
)
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'notices' FROM written;

-- :name notices_changed
-- The end of a statement that changed something else of notices: `written` has their keys.
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'notices' FROM written;

-- :name collected_sets
-- The members of the set of holdings of each account among `keys`, in the form of `holdings`.
SELECT
    bucket, account_key,
    jsonb_agg(jsonb_build_array(data_category, collected_under)
              ORDER BY data_category COLLATE "C", collected_under COLLATE "C" NULLS FIRST) AS members
FROM (
    SELECT DISTINCT bucket, account_key, data_category, collected_under
    FROM held_collections JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
) AS pairs
GROUP BY bucket, account_key

-- :name passes_on
-- Whether the account of `reach` has an unsent information notice of an earlier version than
-- `version_id`, which then informs it. `unsent`: whether there are any such notices.
CASE WHEN %(unsent)s THEN coalesce((
    SELECT kind = 'information' AND state IN ('planned', 'due') FROM notices AS earlier
    WHERE earlier.bucket = reach.bucket AND earlier.account_key = reach.account_key
      AND earlier.version_id < %(version_id)s AND kind <> 'reminder'
    ORDER BY earlier.version_id DESC, sequence DESC LIMIT 1
), false) ELSE false END

-- :name reach_number
-- The place of the account's reach in `REACHES` of domain/notice.py.
(((CASE reach.status WHEN 'active' THEN 0 WHEN 'deactivated' THEN 1 ELSE 2 END * 3
   + CASE reach.contact WHEN 'all' THEN 0 WHEN 'service' THEN 1 ELSE 2 END) * 2
  + reach.minor::integer) * 3
 + CASE reach.address WHEN 'ok' THEN 0 WHEN 'none' THEN 1 ELSE 2 END)

-- :name owned_to_add
-- The staged collections.
SELECT bucket, account_key, data_category, collected_under, at, min(source), min(stated_at)
FROM owned_collections
WHERE NOT erased
GROUP BY bucket, account_key, data_category, collected_under, at

-- :name restricted
-- Whether an account does not count, or its own row keeps it from being mailed everything.
property <> ALL(%(properties)s) OR status <> 'active' OR contact <> 'all' OR unsubscribed OR minor
OR email IS NULL

-- :name counted_entries
-- The ledger entries of the accounts among `keys`, and from when each counts: the same statement, as
-- often as it was recorded, from when it came in first. RULES 27.
SELECT bucket, account_key, entry, answer, data_category, collected_under, data_use, recipient,
       min(decided_at) OVER (
           PARTITION BY bucket, account_key, coalesce(stated_at, decided_at), answer, data_category,
                        collected_under, data_use, recipient) AS counts_from
FROM consents JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
