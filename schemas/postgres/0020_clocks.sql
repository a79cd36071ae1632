-- Statements that came in before the time that they state, by a keyed hash: they count from when they
-- came in, and so does the same statement again. RULES 27.
CREATE TABLE early_statements (
    digest      bytea PRIMARY KEY,
    topic       text NOT NULL,
    source      text NOT NULL,
    stated_at   timestamptz NOT NULL,
    counts_from timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (counts_from < stated_at)
);
CREATE INDEX early_statements_stated ON early_statements (stated_at);
COMMENT ON TABLE early_statements IS 'local: few, and found by their hashes';

-- Collections and erasures are all kept, as history: what is held follows from them. RULES 27, 28, 30.
CREATE VIEW held_collections AS
SELECT collections.bucket, collections.account_key, data_category, collected_under, collected_at,
       source
FROM collections JOIN accounts
  ON accounts.bucket = collections.bucket AND accounts.account_key = collections.account_key
WHERE (deleted_at IS NULL OR collected_at > deleted_at) AND NOT EXISTS (
    SELECT FROM collection_erasures AS erasure
    WHERE erasure.bucket = collections.bucket
      AND erasure.account_key = collections.account_key
      AND erasure.data_category = collections.data_category
      AND erasure.collected_under IS NOT DISTINCT FROM collections.collected_under
      AND erasure.erased_at >= collected_at);

CREATE OR REPLACE VIEW first_collections AS
SELECT
    held.bucket, held.account_key, data_category, collected_under,
    min(collected_at) AS first_collected_at,
    (max(collected_at) AT TIME ZONE 'UTC')::date AS last_collected_on,
    min(source) AS source
FROM held_collections AS held JOIN accounts
  ON accounts.bucket = held.bucket AND accounts.account_key = held.account_key
WHERE status <> 'deleted'
GROUP BY held.bucket, held.account_key, data_category, collected_under;
