-- :name first_collected
-- Read when accounts first collected each pair of data category and version.
SELECT account_key, data_category, collected_under, first_collected_at
FROM first_collections WHERE account_key = ANY(%(keys)s);

-- :name entries
-- Read accounts' ledger entries, oldest first.
SELECT account_key, answer, data_category, collected_under, data_use, recipient, decided_at
FROM consents WHERE account_key = ANY(%(keys)s)
ORDER BY account_key, consent_id;

-- :name owners
-- Read the accounts that have ledger entries.
SELECT account_key, property, deleted_at
FROM accounts
WHERE account_key = ANY(%(keys)s)
  AND EXISTS (SELECT FROM consents WHERE consents.account_key = accounts.account_key);
