-- Evidence goes with a deletion also where only an earlier copy of its statement dates it before that.
-- RULES 27, 28. Until now such evidence stayed.
DELETE FROM consent_evidence USING (
    SELECT bucket, account_key, entry,
           min(decided_at) OVER (
               PARTITION BY bucket, account_key, coalesce(stated_at, decided_at), answer,
                            data_category, collected_under, data_use, recipient) AS counts_from
    FROM consents JOIN (
        SELECT DISTINCT bucket, account_key
        FROM consent_evidence JOIN accounts USING (bucket, account_key)
        WHERE deleted_at IS NOT NULL
    ) AS proved USING (bucket, account_key)
) AS counted JOIN accounts USING (bucket, account_key)
WHERE consent_evidence.bucket = counted.bucket
  AND consent_evidence.account_key = counted.account_key
  AND consent_evidence.entry = counted.entry
  AND counts_from <= deleted_at;
