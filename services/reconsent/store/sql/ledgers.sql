-- :name first_collected
-- Read since when some accounts hold each pair of data category and version.
SELECT account_key, data_category, collected_under, first_collected_at
FROM first_collections WHERE account_key = ANY(%(keys)s);

-- :name entries
-- Read everything that some accounts said, oldest entry first.
SELECT account_key, answer, data_category, collected_under, data_use, recipient, decided_at
FROM consents WHERE account_key = ANY(%(keys)s)
ORDER BY account_key, consent_id;

-- :name owners
-- Read those of some accounts that said anything.
SELECT account_key, property, deleted_at
FROM accounts
WHERE account_key = ANY(%(keys)s)
  AND EXISTS (SELECT FROM consents WHERE consents.account_key = accounts.account_key);
