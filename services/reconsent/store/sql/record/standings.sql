-- :name make_holdings
-- Add the sets of holdings that accounts need and that do not exist yet.
INSERT INTO holdings (members, digest)
SELECT DISTINCT ON (made.digest) sets.members, made.digest
FROM collected_sets AS sets
CROSS JOIN LATERAL sha256(convert_to(sets.members::text, 'UTF8')) AS made (digest)
WHERE sets.account_key = ANY(%(keys)s)
  AND NOT EXISTS (SELECT FROM holdings WHERE holdings.digest = made.digest)
ORDER BY made.digest
ON CONFLICT DO NOTHING;

-- :name point_to_holdings
-- Update the holdings of accounts; a deleted account holds nothing.
WITH written AS (
    UPDATE accounts SET holdings_id = holdings.holdings_id
    FROM unnest(%(keys)s::bigint[]) AS named (account_key)
    LEFT JOIN (
        SELECT * FROM collected_sets WHERE account_key = ANY(%(keys)s)
    ) AS sets USING (account_key)
    JOIN holdings
      ON holdings.digest = sha256(convert_to(coalesce(sets.members, '[]')::text, 'UTF8'))
    WHERE accounts.account_key = named.account_key
      AND accounts.status <> 'deleted'
      AND accounts.holdings_id <> holdings.holdings_id
    RETURNING accounts.account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'accounts' FROM written;

-- :name point_to_standings
-- Update the standing of accounts.
WITH written AS (
    UPDATE accounts SET standing_id = standings.standing_id
    FROM unnest(%(keys)s::bigint[], %(members)s::jsonb[]) AS found (account_key, members)
    JOIN standings ON standings.digest = sha256(convert_to(found.members::text, 'UTF8'))
    WHERE accounts.account_key = found.account_key
      AND accounts.standing_id <> standings.standing_id
    RETURNING accounts.account_key
)
INSERT INTO changes (account_key, stream) SELECT account_key, 'accounts' FROM written;
