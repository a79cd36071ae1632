-- :name many
-- Read what permissions depend on, for the account of each check, by the check's position. Of names
-- that are split here PostgreSQL expects a thousand, and looks each up by the index.
SELECT position, account_key, status, contact, minor, standing_id
FROM ROWS FROM (string_to_table(%(properties)s, E'\n'), string_to_table(%(accounts)s, E'\n'))
     WITH ORDINALITY AS named (property, account, position)
JOIN accounts USING (property, account)
JOIN account_sets USING (bucket, account_key)
WHERE accounts.bucket = bucket_of_name(property, account);
