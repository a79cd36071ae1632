-- Names in events that nothing here has: of properties, categories, versions, uses, parties, locales
-- and time zones. What came with them is recorded all the same; `status` tells, for it may be a typo.
CREATE TABLE unknown_names (
    topic    text NOT NULL,
    property text NOT NULL,
    field    text NOT NULL,
    name     text NOT NULL,
    events   bigint NOT NULL CHECK (events > 0),
    PRIMARY KEY (topic, property, field, name)
) WITH (fillfactor = 50);
COMMENT ON TABLE unknown_names IS 'local: belongs to no account';
