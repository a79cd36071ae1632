-- :name span
-- Read between which times lie those that statements ahead of their time have stated.
SELECT (SELECT min(stated_at) FROM early_statements) AS first,
       (SELECT max(stated_at) FROM early_statements) AS last;

-- :name any_stated
-- Tell whether a statement ahead of its time has stated one of a range of times.
SELECT EXISTS (SELECT FROM early_statements WHERE stated_at BETWEEN %(first)s AND %(last)s);

-- :name stated
-- Return those of some times that statements ahead of them have stated.
SELECT DISTINCT stated_at FROM early_statements WHERE stated_at = ANY(%(times)s::timestamptz[]);

-- :name remember
-- Remember statements that are ahead of their time, from when each counts: when it came in first, also
-- where that was read later than another copy.
INSERT INTO early_statements (digest, topic, property, account, source, stated_at, counts_from)
SELECT DISTINCT ON (digest) digest, topic, property, account, source, stated_at, counts_from
FROM unnest(%(digest)s::bytea[], %(topic)s::text[], %(property)s::text[], %(account)s::text[],
            %(source)s::text[], %(stated_at)s::timestamptz[], %(counts_from)s::timestamptz[])
     AS said (digest, topic, property, account, source, stated_at, counts_from)
ORDER BY digest, counts_from
ON CONFLICT (digest) DO UPDATE SET counts_from = excluded.counts_from
WHERE early_statements.counts_from > excluded.counts_from;

-- :name known
-- Read from when statements count that were ahead of their time.
SELECT digest, counts_from FROM early_statements WHERE digest = ANY(%(digest)s::bytea[]);
