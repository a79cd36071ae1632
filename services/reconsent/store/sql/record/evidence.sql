-- :name add
-- Store evidence beside the ledger, unless what it belongs to counts from before a deletion.
INSERT INTO consent_evidence (bucket, account_key, entry, evidence)
SELECT counted.bucket, counted.account_key, counted.entry, incoming.evidence
FROM unnest(%(account_key)s::bigint[], %(entry)s::integer[], %(evidence)s::jsonb[])
     AS incoming (account_key, entry, evidence)
JOIN (
-- :include counted_entries
) AS counted ON counted.bucket = bucket_of(incoming.account_key)
            AND counted.account_key = incoming.account_key AND counted.entry = incoming.entry
JOIN accounts ON accounts.bucket = counted.bucket AND accounts.account_key = counted.account_key
WHERE deleted_at IS NULL OR counts_from > deleted_at;

-- :name forget
-- Erase the evidence of decisions that count from before their account's deletion.
DELETE FROM consent_evidence USING (
-- :include counted_entries
) AS counted JOIN accounts USING (bucket, account_key)
WHERE consent_evidence.bucket = counted.bucket
  AND consent_evidence.account_key = counted.account_key
  AND consent_evidence.entry = counted.entry
  AND counts_from <= deleted_at;
