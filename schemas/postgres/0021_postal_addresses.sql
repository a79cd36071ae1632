-- Mailboxes are compared by their addresses in postal form. Only of an address with other than ASCII
-- characters the form is new, and with it the hash, which takes the secret to compute: the program
-- does it before anything else, and takes the accounts out of this table as it goes.
CREATE TABLE stale_address_hashes (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    PRIMARY KEY (bucket, account_key),
    CHECK (bucket = bucket_of(account_key))
);
INSERT INTO stale_address_hashes (bucket, account_key)
SELECT bucket, account_key FROM accounts WHERE octet_length(email) > length(email);
COMMENT ON TABLE stale_address_hashes IS 'distributed: in the account''s bucket';
