-- Who unsubscribed can ask for optional mail again. RULES 15.

-- When the same unsubscribe was said last, where it was said more than once: what somebody asked for
-- in between, it ends again.
ALTER TABLE unsubscribes ADD COLUMN repeated_at timestamptz;

-- Who asked for it again, and from which mail's page.
CREATE TABLE resubscribes (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    notice_id   uuid NOT NULL,
    channel     text NOT NULL CHECK (channel IN ('page')),
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, account_key, notice_id, occurred_at),
    CHECK (bucket = bucket_of(account_key))
);
COMMENT ON TABLE resubscribes IS 'distributed: in the account''s bucket';
