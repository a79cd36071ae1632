-- :name make_holdings
-- Add the sets of holdings that accounts need and that do not exist yet.
INSERT INTO holdings (holdings_id, members, digest)
SELECT DISTINCT ON (made.digest) set_id(sets.members), sets.members, made.digest
FROM (
-- :include collected_sets
) AS sets
CROSS JOIN LATERAL sha256(convert_to(sets.members::text, 'UTF8')) AS made (digest)
WHERE NOT EXISTS (SELECT FROM holdings WHERE holdings.digest = made.digest)
ORDER BY made.digest
ON CONFLICT (digest) DO NOTHING;

-- :name point_to_holdings
-- Update the holdings of accounts; a deleted account holds nothing.
WITH written AS (
    UPDATE account_sets SET holdings_id = collected.holdings_id
    FROM (
        SELECT wanted.bucket, wanted.account_key,
               set_id(coalesce(sets.members, '[]')) AS holdings_id
        FROM listed(%(keys)s::bigint[]) AS wanted
        JOIN accounts USING (bucket, account_key)
        LEFT JOIN (
-- :include collected_sets
        ) AS sets USING (bucket, account_key)
        WHERE status <> 'deleted'
    ) AS collected
    WHERE account_sets.bucket = collected.bucket
      AND account_sets.account_key = collected.account_key
      AND account_sets.holdings_id <> collected.holdings_id
    RETURNING account_sets.bucket, account_sets.account_key
)
-- :include accounts_written

-- :name point_to_standings
-- Update the standing of accounts.
WITH written AS (
    UPDATE account_sets SET standing_id = set_id(found.members)
    FROM unnest(%(keys)s::bigint[], %(members)s::jsonb[]) AS found (account_key, members)
    WHERE account_sets.bucket = bucket_of(found.account_key)
      AND account_sets.account_key = found.account_key
      AND account_sets.standing_id <> set_id(found.members)
    RETURNING account_sets.bucket, account_sets.account_key
)
-- :include accounts_written

-- :name holdings_of
-- Read which set of holdings accounts refer to, and which accounts have ledger entries.
SELECT account_key, holdings_id, EXISTS (
    SELECT FROM consents
    WHERE consents.bucket = account_sets.bucket
      AND consents.account_key = account_sets.account_key) AS has_decided
FROM account_sets JOIN listed(%(keys)s::bigint[]) USING (bucket, account_key);

-- :name holdings
-- Read sets of holdings.
SELECT holdings_id, members FROM holdings WHERE holdings_id = ANY(%(ids)s::bigint[]);

-- :name ids
-- Return the ids of sets by their members.
SELECT set_id(members)
FROM unnest(%(members)s::jsonb[]) WITH ORDINALITY AS made (members, place) ORDER BY place;

-- :name point_to_made
-- Update the holdings of accounts to sets that exist.
WITH written AS (
    UPDATE account_sets SET holdings_id = made.holdings_id
    FROM unnest(%(keys)s::bigint[], %(holdings)s::bigint[]) AS made (account_key, holdings_id)
    WHERE account_sets.bucket = bucket_of(made.account_key)
      AND account_sets.account_key = made.account_key
      AND account_sets.holdings_id <> made.holdings_id
    RETURNING account_sets.bucket, account_sets.account_key
)
-- :include accounts_written
