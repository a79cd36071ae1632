-- :name make_asks
-- Make asks, where nobody was asked the same yet.
INSERT INTO asks (members, digest)
SELECT DISTINCT ON (made.digest) told.members, made.digest
FROM unnest(%(members)s::jsonb[]) AS told (members)
CROSS JOIN LATERAL sha256(convert_to(told.members::text, 'UTF8')) AS made (digest)
WHERE NOT EXISTS (SELECT FROM asks WHERE asks.digest = made.digest)
ORDER BY made.digest
ON CONFLICT DO NOTHING;

-- :name ask_ids
-- Find the ids of asks.
SELECT position, ask_id
FROM unnest(%(members)s::jsonb[]) WITH ORDINALITY AS told (members, position)
JOIN asks ON asks.digest = sha256(convert_to(told.members::text, 'UTF8'));

-- :name holdings
-- Read what some sets of holdings hold.
SELECT holdings_id AS set_id, members FROM holdings WHERE holdings_id = ANY(%(ids)s);

-- :name standings
-- Read what some sets of decisions say.
SELECT standing_id AS set_id, members FROM standings WHERE standing_id = ANY(%(ids)s);

-- :name asks
-- Read what some asks ask.
SELECT ask_id AS set_id, members FROM asks WHERE ask_id = ANY(%(ids)s);
