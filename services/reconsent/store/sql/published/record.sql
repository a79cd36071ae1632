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
