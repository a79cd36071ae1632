-- :name snapshot
-- Read everything as it is at one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- :name cursors
-- Read how far a topic came along what it follows.
SELECT name, changed::text, account_key FROM cursors WHERE name = ANY(%(names)s);

-- :name accounts
-- Take the next accounts that changed, up to the oldest transaction still running.
SELECT account_key, changed::text FROM accounts
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name notices
-- Take the accounts of the next notices that changed, up to the oldest transaction still running.
SELECT account_key, changed::text FROM notices
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name consents
-- Take the accounts of the next ledger entries, up to the oldest transaction still running.
SELECT account_key, changed::text FROM consents
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name unsubscribes
-- Take the accounts of the next who left, up to the oldest transaction still running.
SELECT account_key, changed::text FROM unsubscribes
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name any_accounts
-- Tell whether any account changed since.
SELECT EXISTS (SELECT FROM accounts
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name any_notices
-- Tell whether any notice changed since.
SELECT EXISTS (SELECT FROM notices
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name any_consents
-- Tell whether the ledger grew since.
SELECT EXISTS (SELECT FROM consents
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name any_unsubscribes
-- Tell whether anybody left since.
SELECT EXISTS (SELECT FROM unsubscribes
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name unswept
-- Find a version for which a topic has not gone through the accounts of its policy.
SELECT versions.version_id, coalesce(sweeps.account_key, 0)
FROM unnest(%(latest)s::integer[]) AS versions (version_id)
LEFT JOIN relay_sweeps AS sweeps
       ON sweeps.topic = %(topic)s AND sweeps.version_id = versions.version_id
WHERE sweeps.done IS NOT TRUE
ORDER BY versions.version_id LIMIT 1;

-- :name slice
-- Take the next accounts of some properties.
SELECT account_key FROM accounts
WHERE account_key > %(after)s AND property = ANY(%(properties)s)
ORDER BY account_key LIMIT %(limit)s;

-- :name follow
-- Note which change was published last.
UPDATE cursors SET changed = %(changed)s::xid8, account_key = %(account_key)s
WHERE name = %(name)s;

-- :name sweep
-- Note how far the accounts of a policy were gone through.
INSERT INTO relay_sweeps (topic, version_id, account_key, done)
VALUES (%(topic)s, %(version_id)s, %(account_key)s, %(done)s)
ON CONFLICT (topic, version_id) DO UPDATE
SET account_key = excluded.account_key, done = excluded.done;

-- :name notices_of
-- Read those notices of some accounts of which something may have to be said.
SELECT notice_id, property, account, version_id, sequence, kind, state, suppression, settled,
       ask_id, dead, undelivered,
       NOT EXISTS (
           SELECT FROM notices AS later
           WHERE later.account_key = notices.account_key
             AND later.version_id = notices.version_id
             AND later.sequence > notices.sequence AND later.kind <> 'reminder'),
       holdings_id, standing_id
FROM notices JOIN accounts USING (account_key)
WHERE account_key = ANY(%(keys)s)
  AND (version_id = ANY(%(latest)s) OR notices.changed >= %(since)s::xid8)
ORDER BY notices.account_key, version_id, sequence;

-- :name names_of
-- Read what some accounts are called.
SELECT account_key, property, account FROM accounts WHERE account_key = ANY(%(keys)s);

-- :name cohorts_of
-- Read what decides about permissions of some accounts.
SELECT account_key, property, account, holdings_id, standing_id, status, contact, minor
FROM accounts WHERE account_key = ANY(%(keys)s) ORDER BY account_key;

-- :name relayed_notices
-- Read what was published last of some notices.
SELECT item, revision, digest FROM relayed_notices
WHERE item = ANY(string_to_array(%(items)s, ',')::uuid[]);

-- :name relayed_consents
-- Read what was published last of some ledger entries.
SELECT item, revision, digest FROM relayed_consents
WHERE item = ANY(string_to_array(%(items)s, ',')::bigint[]);

-- :name relayed_permissions
-- Read what was published last of some accounts' permissions.
SELECT item, revision, digest FROM relayed_permissions
WHERE item = ANY(string_to_array(%(items)s, ',')::bigint[]);

-- :name relayed_unsubscribes
-- Read what was published last of some who left.
SELECT item, revision, digest FROM relayed_unsubscribes
WHERE item = ANY(string_to_array(%(items)s, ',')::bigint[]);

-- :name keep_notices
-- Note what was published of some notices.
INSERT INTO relayed_notices
SELECT * FROM unnest(string_to_array(%(items)s, ',')::uuid[],
                     string_to_array(%(revisions)s, ',')::integer[],
                     string_to_array(%(digests)s, ',', 'erased')::bigint[])
ON CONFLICT (item) DO UPDATE SET revision = excluded.revision, digest = excluded.digest;

-- :name keep_consents
-- Note what was published of some ledger entries.
INSERT INTO relayed_consents
SELECT * FROM unnest(string_to_array(%(items)s, ',')::bigint[],
                     string_to_array(%(revisions)s, ',')::integer[],
                     string_to_array(%(digests)s, ',', 'erased')::bigint[])
ON CONFLICT (item) DO UPDATE SET revision = excluded.revision, digest = excluded.digest;

-- :name keep_permissions
-- Note what was published of some accounts' permissions.
INSERT INTO relayed_permissions
SELECT * FROM unnest(string_to_array(%(items)s, ',')::bigint[],
                     string_to_array(%(revisions)s, ',')::integer[],
                     string_to_array(%(digests)s, ',', 'erased')::bigint[])
ON CONFLICT (item) DO UPDATE SET revision = excluded.revision, digest = excluded.digest;

-- :name keep_unsubscribes
-- Note what was published of some who left.
INSERT INTO relayed_unsubscribes
SELECT * FROM unnest(string_to_array(%(items)s, ',')::bigint[],
                     string_to_array(%(revisions)s, ',')::integer[],
                     string_to_array(%(digests)s, ',', 'erased')::bigint[])
ON CONFLICT (item) DO UPDATE SET revision = excluded.revision, digest = excluded.digest;

-- :name intend
-- Note what is about to be said.
INSERT INTO relay_intents (topic, items) VALUES (%(topic)s, string_to_array(%(items)s, ','))
ON CONFLICT (topic) DO UPDATE SET items = excluded.items;

-- :name doubt_notices
-- What may or may not have been said of notices is said again, even if it stands as before.
UPDATE relayed_notices SET digest = coalesce(digest # 1, 0)
FROM relay_intents WHERE topic = 'notices' AND item = ANY(items::uuid[]);

-- :name doubt_consents
-- What may or may not have been said of ledger entries is said again.
UPDATE relayed_consents SET digest = coalesce(digest # 1, 0)
FROM relay_intents WHERE topic = 'consents' AND item = ANY(items::bigint[]);

-- :name doubt_permissions
-- What may or may not have been said of permissions is said again.
UPDATE relayed_permissions SET digest = coalesce(digest # 1, 0)
FROM relay_intents WHERE topic = 'permissions' AND item = ANY(items::bigint[]);

-- :name doubt_unsubscribes
-- What may or may not have been said of those who left is said again.
UPDATE relayed_unsubscribes SET digest = coalesce(digest # 1, 0)
FROM relay_intents WHERE topic = 'unsubscribes' AND item = ANY(items::bigint[]);
