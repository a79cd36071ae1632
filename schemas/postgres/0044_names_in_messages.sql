-- Whom a message is about is told by what it names, not by its key alone: a report may name only an
-- address, and a dead letter may have any key. `names` is null until somebody has read the message for
-- them: accounts as their keys, notices, and keyed hashes of addresses. RULES 28.
ALTER TABLE bus_messages ADD COLUMN names bytea[];

-- The messages that may name something their keys do not. \x40 is the @ of an address.
CREATE FUNCTION names_more(topic text, key bytea, value bytea) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT topic IN ('accounts.dead', 'collections.dead', 'choices.dead', 'mail-events.dead')
        OR (topic = 'mail-events' AND (key IS NULL OR position('\x40'::bytea IN value) > 0))
        OR (topic IN ('accounts', 'collections', 'choices') AND key IS NULL)
$$;
-- What nobody has looked into is found in the order in which it is locked, however much else there is;
-- and messages are looked up by many names at once, which a list of pending entries would make slow.
CREATE INDEX bus_messages_to_name ON bus_messages (topic, partition, "offset")
    WHERE names IS NULL AND value IS NOT NULL AND names_more(topic, key, value);
CREATE INDEX bus_messages_names ON bus_messages USING gin (names) WITH (fastupdate = off)
    WHERE names IS NOT NULL;

-- Some providers put the address into the ids of their reports: keyed hashes of them are kept. It takes
-- the secret to compute these: the program hashes the ids of before ahead of anything else.
CREATE INDEX mail_events_to_hash ON mail_events (bucket)
    WHERE provider_id IS NOT NULL AND NOT starts_with(provider_id, 'hashed:');
CREATE INDEX mailbox_reports_to_hash ON mailbox_reports (bucket)
    WHERE provider_id IS NOT NULL AND NOT starts_with(provider_id, 'hashed:');
