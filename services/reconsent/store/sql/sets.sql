-- :name make
-- Add the sets of a kind (asks, standings) that do not exist yet.
INSERT INTO {table} (members, digest)
SELECT DISTINCT ON (made.digest) wanted.members, made.digest
FROM unnest(%(members)s::jsonb[]) AS wanted (members)
CROSS JOIN LATERAL sha256(convert_to(wanted.members::text, 'UTF8')) AS made (digest)
WHERE NOT EXISTS (SELECT FROM {table} AS known WHERE known.digest = made.digest)
ORDER BY made.digest
ON CONFLICT DO NOTHING;

-- :name ask_ids
-- Find the ids of asks.
SELECT position, ask_id
FROM unnest(%(members)s::jsonb[]) WITH ORDINALITY AS wanted (members, position)
JOIN asks ON asks.digest = sha256(convert_to(wanted.members::text, 'UTF8'));

-- :name holdings
-- Read the members of sets of holdings.
SELECT holdings_id AS set_id, members FROM holdings WHERE holdings_id = ANY(%(ids)s);

-- :name standings
-- Read the members of sets of standing decisions.
SELECT standing_id AS set_id, members FROM standings WHERE standing_id = ANY(%(ids)s);

-- :name asks
-- Read the members of asks.
SELECT ask_id AS set_id, members FROM asks WHERE ask_id = ANY(%(ids)s);
