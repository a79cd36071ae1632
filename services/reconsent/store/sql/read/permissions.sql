-- :name many
-- Read what permissions depend on, for many accounts.
SELECT property, account, account_key, status, contact, minor, standings.members AS standing
FROM (SELECT DISTINCT * FROM unnest(%(properties)s::text[], %(accounts)s::text[])
      AS named (property, account)) AS named
JOIN accounts USING (property, account)
JOIN account_sets USING (bucket, account_key)
JOIN standings USING (standing_id)
WHERE accounts.bucket = bucket_of_name(property, account);
