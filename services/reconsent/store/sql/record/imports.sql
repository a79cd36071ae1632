-- :name begin
-- Read the progress of an import of the same content; start one if there is none.
INSERT INTO imports (topic, content, events) VALUES (%(topic)s, %(content)s, %(events)s)
ON CONFLICT (topic, content) DO UPDATE SET topic = excluded.topic
RETURNING events, new, unchanged, refused;

-- :name advance
-- Store the progress of an import, unless another one has moved it.
UPDATE imports SET events = %(events)s, new = %(new)s, unchanged = %(unchanged)s,
                   refused = %(refused)s
WHERE topic = %(topic)s AND content = %(content)s AND events = %(before)s;

-- :name end
-- Delete a finished import.
DELETE FROM imports WHERE topic = %(topic)s AND content = %(content)s;
