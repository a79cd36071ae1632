-- :name keep_rendering
-- Keep what was rendered, by its hash.
INSERT INTO renderings (rendering, version_id, ask_id, property, locale, template, content)
VALUES (%(rendering)s, %(version_id)s, %(ask_id)s, %(property)s, %(locale)s, %(template)s,
        %(content)s)
ON CONFLICT DO NOTHING;
