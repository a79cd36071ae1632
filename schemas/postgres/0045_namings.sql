-- Every time at which an account named an address, not only the first: a deletion that comes late ends
-- some of them, and leaves the others. RULES 15, 28.
ALTER TABLE named_addresses DROP CONSTRAINT named_addresses_pkey;
ALTER TABLE named_addresses ADD PRIMARY KEY (bucket, account_key, address_hash, named_at);
