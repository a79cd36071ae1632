-- Every time at which an account named an address, not only the first: a deletion that comes late ends
-- some of them, and leaves the others. RULES 15, 28.
ALTER TABLE named_addresses DROP CONSTRAINT named_addresses_pkey;
ALTER TABLE named_addresses ADD PRIMARY KEY (bucket, account_key, address_hash, named_at);

-- What nobody has looked into is found in the order in which it is locked, however much else there is;
-- and messages are looked up by many names at once, which a list of pending entries would make slow.
DROP INDEX bus_messages_to_name;
CREATE INDEX bus_messages_to_name ON bus_messages (topic, partition, "offset")
    WHERE names IS NULL AND value IS NOT NULL AND names_more(topic, key, value);
DROP INDEX bus_messages_names;
CREATE INDEX bus_messages_names ON bus_messages USING gin (names) WITH (fastupdate = off)
    WHERE names IS NOT NULL;
