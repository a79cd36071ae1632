-- When an account first named an address, and when that was last verified: what lifts marks. Of the
-- address that an account has now both are with the account, where `address_since` may be null: then
-- it is `updated_at`.
CREATE TABLE named_addresses (
    bucket       smallint NOT NULL,
    account_key  bigint NOT NULL,
    address_hash bytea NOT NULL,
    named_at     timestamptz NOT NULL,
    verified_at  timestamptz,
    PRIMARY KEY (bucket, account_key, address_hash),
    CHECK (bucket = bucket_of(account_key))
);
CREATE INDEX named_addresses_hash ON named_addresses (address_hash);
COMMENT ON TABLE named_addresses IS 'distributed: in the account''s bucket';

-- Mails by the mailbox that they went to, where that is not found through the account, or matters
-- later: those of deleted accounts, until it is forgotten, and those that did not arrive.
CREATE INDEX notices_addresses ON notices (address_hash)
    WHERE address_hash IS NOT NULL AND (dead OR undelivered);
