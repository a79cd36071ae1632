-- :name many
-- Read what permissions depend on, for many accounts.
SELECT property, account, account_key, status, contact, minor, standings.members AS standing
FROM accounts
JOIN (SELECT DISTINCT * FROM unnest(%(properties)s::text[], %(accounts)s::text[])
      AS named (property, account)) AS named USING (property, account)
JOIN standings USING (standing_id);
