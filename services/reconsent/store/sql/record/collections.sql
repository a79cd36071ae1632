-- :name make_incoming
-- Create the staging table for collections and erasures; it is empty at the start of a transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_collections (
    position integer, property text, account text, data_category text, collected_under text,
    source text, erased boolean, at timestamptz, stated_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name make_owned
-- Create the table for staged events that are new, with their accounts.
CREATE TEMPORARY TABLE IF NOT EXISTS owned_collections (
    bucket smallint, account_key bigint, property text, account text, data_category text,
    collected_under text, source text, erased boolean, at timestamptz, stated_at timestamptz,
    deleted_at timestamptz
) ON COMMIT DELETE ROWS;

-- :name clear_incoming
-- Clear the staging table of what the transaction recorded before.
DELETE FROM incoming_collections;

-- :name clear_owned
-- Clear the events whose accounts were found before.
DELETE FROM owned_collections;

-- :name copy_incoming
-- Stage collections and erasures.
COPY incoming_collections FROM STDIN;

-- :name find
-- Find the accounts of staged events, and leave out events that are known, except of accounts that
-- were ever deleted. One index look-up per row: few are staged, millions may be known.
INSERT INTO owned_collections
SELECT incoming.bucket, known.account_key, property, account, data_category, collected_under, source,
       erased, at, stated_at
FROM (
    SELECT bucket_of_name(property, account) AS bucket, * FROM incoming_collections OFFSET 0
) AS incoming
LEFT JOIN LATERAL (
    SELECT account_key, deleted_at FROM accounts
    WHERE bucket = incoming.bucket AND property = incoming.property
      AND account = incoming.account OFFSET 0) AS known ON true
WHERE known.account_key IS NULL OR known.deleted_at IS NOT NULL OR NOT CASE
    WHEN incoming.erased THEN EXISTS (
        SELECT FROM collection_erasures AS erasure
        WHERE erasure.bucket = incoming.bucket
          AND erasure.account_key = known.account_key
          AND erasure.data_category = incoming.data_category
          AND erasure.collected_under IS NOT DISTINCT FROM incoming.collected_under
          AND erasure.erased_at = incoming.at)
    ELSE EXISTS (
        SELECT FROM collections AS collection
        WHERE collection.bucket = incoming.bucket
          AND collection.account_key = known.account_key
          AND collection.data_category = incoming.data_category
          AND collection.collected_under IS NOT DISTINCT FROM incoming.collected_under
          AND collection.collected_at = incoming.at) END;

-- :name ensure
-- Add a stub for each unknown account.
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account
    FROM (
        SELECT DISTINCT bucket, property, account
        FROM owned_collections WHERE account_key IS NULL
    ) AS unknown
    ORDER BY property, account
    ON CONFLICT DO NOTHING
    RETURNING bucket, account_key
)
-- :include accounts_added
SELECT FROM added;

-- :name owners
-- Return the keys of the accounts by bucket, and whether there are erasures; no keys where there are
-- unknown accounts.
SELECT CASE WHEN count(account_key) = count(*)
            THEN array_agg(DISTINCT account_key ORDER BY account_key)::text END AS keys,
       bucket, bool_or(erased) AS erased
FROM owned_collections GROUP BY bucket ORDER BY bucket;

-- :name lock
-- Lock accounts of one bucket, in key order to avoid deadlocks; return those ever deleted.
WITH locked AS (
    SELECT account_key, deleted_at FROM accounts
    WHERE bucket = %(bucket)s AND account_key = ANY(%(keys)s::bigint[])
    ORDER BY account_key FOR NO KEY UPDATE
)
SELECT account_key, deleted_at FROM locked WHERE deleted_at IS NOT NULL;

-- :name mark_deleted
-- Mark the events of accounts that were ever deleted.
UPDATE owned_collections AS owned SET deleted_at = deleted.deleted_at
FROM unnest(%(keys)s::bigint[], %(times)s::timestamptz[]) AS deleted (account_key, deleted_at)
WHERE owned.account_key = deleted.account_key;

-- :name erase
-- Record erasures; all are kept, also those that a later one covers.
INSERT INTO collection_erasures (bucket, account_key, data_category, collected_under, erased_at,
                                 stated_at)
SELECT bucket, account_key, data_category, collected_under, at, min(stated_at)
FROM owned_collections
WHERE erased
GROUP BY bucket, account_key, data_category, collected_under, at
ON CONFLICT DO NOTHING
RETURNING account_key;

-- :name add
-- Add collections, also those that an erasure or a deletion covers: they were held once. Raises an
-- error if one is known.
INSERT INTO collections (bucket, account_key, data_category, collected_under, collected_at, source,
                         stated_at)
-- :include owned_to_add
RETURNING account_key, data_category, collected_under;

-- :name add_unknown
-- Add those that are not known.
INSERT INTO collections (bucket, account_key, data_category, collected_under, collected_at, source,
                         stated_at)
-- :include owned_to_add
ON CONFLICT DO NOTHING
RETURNING account_key, data_category, collected_under;

-- :name any_erased
-- Return a row if an erasure covers one of the staged collections.
SELECT true FROM owned_collections AS owned
JOIN collection_erasures AS erasure
  ON erasure.bucket = owned.bucket AND erasure.account_key = owned.account_key
 AND erasure.data_category = owned.data_category
 AND erasure.collected_under IS NOT DISTINCT FROM owned.collected_under
 AND erasure.erased_at >= owned.at
WHERE NOT owned.erased LIMIT 1;

-- :name late
-- Find the accounts of events that are dated up to a deletion.
SELECT DISTINCT property, account, deleted_at FROM owned_collections WHERE at <= deleted_at;

-- :name staged_span
-- Read between which times the staged events count, and how many count before they say.
SELECT min(at) AS first, max(at) AS last, count(stated_at) AS early FROM owned_collections;

-- :name staged_times
-- Read when the staged events count.
SELECT DISTINCT at FROM owned_collections;

-- :name delete_later_copies
-- Delete the collections, staged ones too, of which a copy came in before; return their accounts.
-- `stated` has the times that statements ahead of them have stated.
WITH said AS MATERIALIZED (
    SELECT DISTINCT bucket, account_key, data_category, collected_under, source,
           coalesce(stated_at, at) AS stated_at
    FROM owned_collections
    WHERE NOT erased AND (stated_at IS NOT NULL OR at = ANY(%(stated)s::timestamptz[]))
), earliest AS (
    SELECT said.*, min(collected_at) AS at
    FROM said JOIN collections
      ON collections.bucket = said.bucket AND collections.account_key = said.account_key
     AND collections.data_category = said.data_category
     AND collections.collected_under IS NOT DISTINCT FROM said.collected_under
     AND collections.source IS NOT DISTINCT FROM said.source
     AND coalesce(collections.stated_at, collected_at) = said.stated_at
    GROUP BY said.bucket, said.account_key, said.data_category, said.collected_under, said.source,
             said.stated_at
)
DELETE FROM collections USING earliest
WHERE collections.bucket = earliest.bucket AND collections.account_key = earliest.account_key
  AND collections.data_category = earliest.data_category
  AND collections.collected_under IS NOT DISTINCT FROM earliest.collected_under
  AND collections.source IS NOT DISTINCT FROM earliest.source
  AND coalesce(collections.stated_at, collected_at) = earliest.stated_at
  AND collected_at > earliest.at
RETURNING collections.account_key;

-- :name delete_later_erasures
-- Likewise the erasures.
WITH said AS MATERIALIZED (
    SELECT DISTINCT bucket, account_key, data_category, collected_under,
           coalesce(stated_at, at) AS stated_at
    FROM owned_collections
    WHERE erased AND (stated_at IS NOT NULL OR at = ANY(%(stated)s::timestamptz[]))
), earliest AS (
    SELECT said.*, min(erased_at) AS at
    FROM said JOIN collection_erasures AS erasure
      ON erasure.bucket = said.bucket AND erasure.account_key = said.account_key
     AND erasure.data_category = said.data_category
     AND erasure.collected_under IS NOT DISTINCT FROM said.collected_under
     AND coalesce(erasure.stated_at, erased_at) = said.stated_at
    GROUP BY said.bucket, said.account_key, said.data_category, said.collected_under,
             said.stated_at
)
DELETE FROM collection_erasures AS erasure USING earliest
WHERE erasure.bucket = earliest.bucket AND erasure.account_key = earliest.account_key
  AND erasure.data_category = earliest.data_category
  AND erasure.collected_under IS NOT DISTINCT FROM earliest.collected_under
  AND coalesce(erasure.stated_at, erased_at) = earliest.stated_at
  AND erased_at > earliest.at
RETURNING erasure.account_key;
