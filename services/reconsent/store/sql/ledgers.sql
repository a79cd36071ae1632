-- :name first_collected
-- Read when accounts first collected each pair of data category and version, as in the view
-- `first_collections`, which would be computed for all accounts.
SELECT account_key, data_category, collected_under, min(collected_at) AS first_collected_at
FROM listed(%(keys)s::bigint[])
JOIN accounts USING (bucket, account_key) JOIN held_collections USING (bucket, account_key)
WHERE status <> 'deleted'
GROUP BY bucket, account_key, data_category, collected_under;

-- :name entries
-- Read accounts' ledger entries, oldest first, with the times from which they count.
SELECT account_key, answer, data_category, collected_under, data_use, recipient,
       counts_from AS decided_at
FROM (
-- :include counted_entries
) AS counted
ORDER BY account_key, entry;

-- :name owners
-- Read the accounts that have ledger entries.
SELECT account_key, property, deleted_at
FROM accounts JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key)
WHERE EXISTS (SELECT FROM consents
              WHERE consents.bucket = accounts.bucket
                AND consents.account_key = accounts.account_key);
