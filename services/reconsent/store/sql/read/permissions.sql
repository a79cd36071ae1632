-- :name many
-- Read what permissions depend on, for many accounts.
SELECT property, account, account_key, status, contact, minor, holdings.members,
       standings.members
FROM accounts
JOIN (SELECT DISTINCT * FROM unnest(%(properties)s::text[], %(accounts)s::text[])
      AS named (property, account)) AS named USING (property, account)
JOIN holdings USING (holdings_id) JOIN standings USING (standing_id);
