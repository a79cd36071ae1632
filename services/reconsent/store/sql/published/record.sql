-- :name read
-- Read what was published last of some items of a topic, from the topic's own table.
SELECT item, revision, digest, era FROM {table}
JOIN unnest(string_to_array(%(buckets)s, ',')::smallint[],
            string_to_array(%(items)s, ',')::{type}[]) AS wanted (bucket, item)
     USING (bucket, item);

-- :name record
-- Record what was published of some items of a topic.
INSERT INTO {table} (bucket, item, revision, digest, era)
SELECT * FROM unnest(string_to_array(%(buckets)s, ',')::smallint[],
                     string_to_array(%(items)s, ',')::{type}[],
                     string_to_array(%(revisions)s, ',')::integer[],
                     string_to_array(%(digests)s, ',', 'erased')::bigint[],
                     string_to_array(%(eras)s, ',')::integer[])
ON CONFLICT (bucket, item) DO UPDATE
SET revision = excluded.revision, digest = excluded.digest, era = excluded.era;

-- :name forget_intents
-- Nothing of a topic is about to be published.
DELETE FROM relay_intents WHERE topic = %(topic)s;

-- :name intend
-- Note what is about to be published.
INSERT INTO relay_intents (bucket, topic, items)
SELECT bucket, %(topic)s, array_agg(item)
FROM unnest(string_to_array(%(buckets)s, ',')::smallint[], string_to_array(%(items)s, ','))
     AS one (bucket, item)
GROUP BY bucket;

-- :name doubt
-- What may or may not have been published of a topic is published again, even if nothing changed.
UPDATE {table} SET digest = coalesce(digest # 1, 0)
FROM relay_intents
WHERE topic = %(topic)s AND {table}.bucket = relay_intents.bucket
  AND item = ANY(items::{type}[]);
