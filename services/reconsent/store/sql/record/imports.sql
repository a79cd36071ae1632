-- :name begin
-- Read how far an import of the same content came, which from now on is noted.
INSERT INTO imports (topic, content) VALUES (%(topic)s, %(content)s)
ON CONFLICT (topic, content) DO UPDATE SET topic = excluded.topic
RETURNING events, new, unchanged, refused;

-- :name advance
-- Note how far an import came, if nobody else has carried it on.
UPDATE imports SET events = %(events)s, new = %(new)s, unchanged = %(unchanged)s,
                   refused = %(refused)s
WHERE topic = %(topic)s AND content = %(content)s AND events = %(before)s;

-- :name end
-- Forget an import that has come to its end.
DELETE FROM imports WHERE topic = %(topic)s AND content = %(content)s;
