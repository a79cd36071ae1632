-- :name add
-- Count events by names that nothing here has. Of new names, no more are added than people will read.
INSERT INTO unknown_names AS known (topic, property, field, name, events)
SELECT topic, property, field, name, events
FROM unnest(%(topic)s::text[], %(property)s::text[], %(field)s::text[], %(name)s::text[], %(events)s::bigint[])
     AS added (topic, property, field, name, events)
WHERE (SELECT count(*) FROM unknown_names) < %(most)s
ON CONFLICT (topic, property, field, name) DO UPDATE SET events = known.events + excluded.events;

-- :name list
-- List the names that nothing here had when they came in.
SELECT topic, property, field, name, events FROM unknown_names ORDER BY events DESC, topic, property, field, name;
