-- An earlier release did not look into every message for whom it names: what it erased of accounts left
-- addresses, texts and ids of providers in some. RULES 28. It takes the secret to find these, so the
-- program erases them before anything else, and keeps here how far it has come.
CREATE TABLE bus_sweeps (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE bus_sweeps IS 'local: the embedded bus is for one server; empty once all was looked into';
INSERT INTO bus_sweeps (topic, partition)
SELECT topic, partition FROM bus_partitions WHERE next_offset > 0;

-- Of the times at which an account named an address only some are kept, or the table would grow by a
-- row for each change of an account. RULES 15. The program does the same whenever it adds some.
DELETE FROM named_addresses USING (
    SELECT bucket, account_key, address_hash, min(named_at) AS first, max(named_at) AS last,
           (array_agg(named_at ORDER BY verified_at DESC NULLS LAST, named_at DESC))[1] AS verified
    FROM named_addresses
    GROUP BY bucket, account_key, address_hash
) AS named
WHERE named_addresses.bucket = named.bucket
  AND named_addresses.account_key = named.account_key
  AND named_addresses.address_hash = named.address_hash
  AND named_at NOT IN (first, verified) AND last - named_at >= interval '30 days';
COMMENT ON TABLE named_addresses IS 'distributed: in the account''s bucket. When accounts named addresses: of each the first time, the one with the latest verification, and those of the 30 days up to the last. So a deletion that comes no later than 30 days after another naming leaves what it would have left if it had come in time; one that comes later may forget a verification, which lifts no mark then.';

COMMENT ON COLUMN release_orders.notices IS 'how many questions the order let be asked again; orders of before this was said also counted those to marked mailboxes, which nothing was sent to: how many these were is not known any more';
