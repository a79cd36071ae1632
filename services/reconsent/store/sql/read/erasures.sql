-- :name to_erase
-- Find the data that must be erased: that of minors.
SELECT property, account, data_category, collected_under, 'minor' AS reason
FROM accounts JOIN first_collections USING (account_key)
WHERE minor
ORDER BY property COLLATE "C", account COLLATE "C", data_category COLLATE "C",
         collected_under COLLATE "C" NULLS FIRST;
