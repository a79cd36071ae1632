-- :name read
-- Read what was published last of some items of a topic, from the topic's own table.
SELECT item, revision, digest, era FROM {table}
WHERE item = ANY(string_to_array(%(items)s, ',')::{type}[]);

-- :name record
-- Record what was published of some items of a topic.
INSERT INTO {table}
SELECT * FROM unnest(string_to_array(%(items)s, ',')::{type}[],
                     string_to_array(%(revisions)s, ',')::integer[],
                     string_to_array(%(digests)s, ',', 'erased')::bigint[],
                     string_to_array(%(eras)s, ',')::integer[])
ON CONFLICT (item) DO UPDATE
SET revision = excluded.revision, digest = excluded.digest, era = excluded.era;

-- :name intend
-- Note what is about to be published.
INSERT INTO relay_intents (topic, items) VALUES (%(topic)s, string_to_array(%(items)s, ','))
ON CONFLICT (topic) DO UPDATE SET items = excluded.items;

-- :name doubt
-- What may or may not have been published of a topic is published again, even if nothing changed.
UPDATE {table} SET digest = coalesce(digest # 1, 0)
FROM relay_intents WHERE topic = %(topic)s AND item = ANY(items::{type}[]);
