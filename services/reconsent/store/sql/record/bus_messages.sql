-- :name forget_sources
-- Erase who said something of accounts ahead of its time.
UPDATE early_statements SET source = NULL
FROM unnest(%(properties)s::text[], %(accounts)s::text[]) AS named (property, account)
WHERE early_statements.property = named.property AND early_statements.account = named.account
  AND source IS NOT NULL;

-- :name deleted
-- Read when accounts were last deleted, of those that ever were.
SELECT property, account, deleted_at FROM accounts
WHERE deleted_at IS NOT NULL AND (bucket, property, account) IN (
    SELECT bucket_of_name(property, account), property, account
    FROM unnest(%(properties)s::text[], %(accounts)s::text[]) AS named (property, account));
