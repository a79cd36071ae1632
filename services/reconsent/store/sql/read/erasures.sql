-- :name to_erase
-- Find the data that must be erased: that of minors.
SELECT property, account, data_category, collected_under, 'minor' AS reason
FROM accounts CROSS JOIN LATERAL (
    SELECT * FROM first_collections AS first
    WHERE first.bucket = accounts.bucket AND first.account_key = accounts.account_key OFFSET 0) AS held
WHERE minor
ORDER BY property, account, data_category COLLATE "C",
         collected_under COLLATE "C" NULLS FIRST;
