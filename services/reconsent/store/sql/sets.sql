-- :name make
-- Add the sets of a kind (asks, holdings, standings) that do not exist yet. Two sets with the same id raise an
-- error.
INSERT INTO {table} ({id}, members, digest)
SELECT DISTINCT ON (made.digest) set_id(wanted.members), wanted.members, made.digest
FROM unnest(%(members)s::jsonb[]) AS wanted (members)
CROSS JOIN LATERAL sha256(convert_to(wanted.members::text, 'UTF8')) AS made (digest)
WHERE NOT EXISTS (SELECT FROM {table} AS known WHERE known.digest = made.digest)
ORDER BY made.digest
ON CONFLICT (digest) DO NOTHING;

-- :name ask_ids
-- Compute the ids of asks.
SELECT position, set_id(members) AS ask_id
FROM unnest(%(members)s::jsonb[]) WITH ORDINALITY AS wanted (members, position);

-- :name holdings
-- Read the members of sets of holdings.
SELECT holdings_id AS set_id, members FROM holdings WHERE holdings_id = ANY(%(ids)s::bigint[]);

-- :name standings
-- Read the members of sets of standing decisions.
SELECT standing_id AS set_id, members FROM standings WHERE standing_id = ANY(%(ids)s::bigint[]);

-- :name asks
-- Read the members of asks.
SELECT ask_id AS set_id, members FROM asks WHERE ask_id = ANY(%(ids)s::bigint[]);
