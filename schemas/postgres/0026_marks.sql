-- Marks are on mailboxes, complaints too; reports may name an address alone; operators' reasons are
-- kept. RULES 15.

-- A mark holds since the latest time at which it was made, unless it was lifted after that:
-- `lifted_at` is null where it holds, and else the latest time of those.
ALTER TABLE mailbox_marks ADD CHECK (lifted_at > marked_at);
ALTER TABLE mailbox_marks ADD CHECK ((lifted_at IS NULL) = (lifted_for IS NULL));

-- Mailboxes by the hashes of their addresses, with the buckets of these.
CREATE FUNCTION mailboxes(address_hashes bytea[])
RETURNS TABLE (bucket smallint, address_hash bytea)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (get_byte(hash, 0) & 63)::smallint, hash FROM unnest(address_hashes) AS hash
$$;

-- Reports that name an address and no notice.
CREATE TABLE mailbox_reports (
    bucket       smallint NOT NULL,
    address_hash bytea NOT NULL,
    event        text NOT NULL CHECK (event IN (
                     'delivered', 'deferred', 'bounced', 'dropped', 'complained', 'unsubscribed')),
    occurred_at  timestamptz NOT NULL,
    provider_id  text,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (bucket, address_hash, event, occurred_at, provider_id),
    CHECK (bucket = bucket_of_hash(address_hash))
);
COMMENT ON TABLE mailbox_reports IS 'distributed: in the bucket of the hash';

-- What operators said about mailboxes, and why.
CREATE TABLE mailbox_orders (
    bucket       smallint NOT NULL,
    address_hash bytea NOT NULL,
    mark         text NOT NULL CHECK (mark IN ('bounced', 'complained')),
    lifts        boolean NOT NULL,
    at           timestamptz NOT NULL,
    said_by      text NOT NULL,
    reason       text NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, address_hash, mark, lifts, at),
    CHECK (bucket = bucket_of_hash(address_hash))
);
CREATE TRIGGER mailbox_orders_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mailbox_orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE mailbox_orders IS 'distributed: in the bucket of the hash';

-- Who complained is known by account so far. The mailboxes are those that the reported mails went to,
-- and those that these accounts have now.
INSERT INTO mailbox_marks (bucket, address_hash, mark, marked_at)
SELECT bucket_of_hash(address_hash), address_hash, 'complained', max(complained_at)
FROM (
    SELECT address_hash, complained_at FROM accounts WHERE complained
    UNION ALL
    SELECT address_hash, occurred_at
    FROM mail_events JOIN notices USING (bucket, account_key, notice_id)
    WHERE event = 'complained'
) AS complaints
WHERE address_hash IS NOT NULL
GROUP BY address_hash
ON CONFLICT DO NOTHING;

-- As before, but a complaint is a mark too.
DROP VIEW situations;
DROP VIEW account_reach;
ALTER TABLE accounts DROP COLUMN complained;
ALTER TABLE accounts DROP COLUMN complained_at;

-- Whether and how an account can be mailed. A row lock on this view locks the account and its sets. A
-- person can decline optional mail in the account (`stated_contact`) or with us (`unsubscribed_at`):
-- `contact` is the stricter of the two. `sets_bucket` and `sets_key` are the account's bucket and key
-- too: a range of keys, or a list of buckets, must be given for both, because PostgreSQL does not
-- conclude from one to the other.
CREATE VIEW account_reach AS
SELECT
    accounts.bucket, accounts.account_key, property, account, email, name, locale, status,
    CASE WHEN contact = 'all' AND unsubscribed THEN 'service' ELSE contact END AS contact,
    contact AS stated_contact,
    CASE WHEN unsubscribed THEN unsubscribed_at END AS unsubscribed_at,
    minor,
    CASE WHEN email IS NULL THEN 'none'
         WHEN EXISTS (
             SELECT FROM mailbox_marks AS marks
             WHERE marks.bucket = bucket_of_hash(accounts.address_hash)
               AND marks.address_hash = accounts.address_hash AND lifted_at IS NULL) THEN 'bounced'
         ELSE 'ok' END AS address,
    address_hash, holdings_id, standing_id, told_id, updated_at, deleted_at,
    sets.account_key AS sets_key, sets.bucket AS sets_bucket
FROM accounts JOIN account_sets AS sets
  ON sets.bucket = accounts.bucket AND sets.account_key = accounts.account_key;

-- What planning needs to know about an account. No column that planning compares is null.
CREATE VIEW situations AS
SELECT
    reach.bucket, reach.account_key, reach.property, reach.account, properties.policy,
    latest.version_id, reach.holdings_id, reach.standing_id, reach.status, reach.contact,
    reach.minor, reach.address,
    coalesce(last.sequence, 0) AS last_sequence,
    -- Reminders have sequences too.
    CASE WHEN last.sequence IS NULL THEN 1 ELSE (
        SELECT max(sequence) + 1 FROM notices
        WHERE notices.bucket = reach.bucket AND notices.account_key = reach.account_key
          AND notices.version_id = latest.version_id
    ) END AS next_sequence,
    coalesce(last.kind, '') AS last_kind,
    coalesce(last.state, '') AS last_state,
    last.suppression AS last_suppression,
    coalesce(last.ask_id, 0) AS last_ask,
    -- It is useless to ask again at the address that the mail did not reach.
    coalesce(last.undelivered AND last.address_hash IS DISTINCT FROM reach.address_hash, false)
        AS last_undelivered,
    coalesce(last.dead, false) AS last_dead,
    reach.sets_key
FROM account_reach AS reach
JOIN properties USING (property)
JOIN LATERAL (
    SELECT max(version_id) AS version_id FROM policy_versions
    WHERE policy_versions.policy = properties.policy
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT * FROM last_notices AS notice
    WHERE notice.bucket = reach.bucket AND notice.account_key = reach.account_key
      AND notice.version_id = latest.version_id
    OFFSET 0
) AS last ON true;
