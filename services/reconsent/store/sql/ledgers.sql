-- :name first
-- Read since when each pair is held, for some accounts.
SELECT account_key, data_category, collected_under, first_collected_at
FROM first_collections WHERE account_key = ANY(%(keys)s);

-- :name ledgers
-- Read everything that some accounts said, oldest entry first.
SELECT account_key, answer, data_category, collected_under, data_use, recipient, decided_at,
       consent_id
FROM consents WHERE account_key = ANY(%(keys)s)
ORDER BY account_key, consent_id;

-- :name owners
-- Read whose standing is to be found: accounts that said something.
SELECT account_key, property, deleted_at
FROM accounts
WHERE account_key = ANY(%(keys)s)
  AND EXISTS (SELECT FROM consents WHERE consents.account_key = accounts.account_key);
