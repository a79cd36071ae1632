-- A question that did not arrive is asked again. RULES 15.

-- When it was known last that a notice had not arrived, and why it is asked again, if it is:
-- `given_up` says that time alone is no reason any more.
ALTER TABLE notices ADD COLUMN undelivered_at timestamptz;
ALTER TABLE notices ADD COLUMN again text
    CHECK (again IN ('lifted', 'delivered', 'waited', 'ordered', 'given_up'));
-- The time of what failed before this migration counts from now.
UPDATE notices SET undelivered_at = now() WHERE undelivered;
ALTER TABLE notices ADD CHECK (NOT undelivered OR undelivered_at IS NOT NULL);
CREATE INDEX notices_waiting ON notices (version_id, undelivered_at)
    WHERE kind = 'choice' AND undelivered AND NOT dead AND settled IS NULL AND again IS NULL;

-- What operators ordered about releases, and why.
CREATE TABLE release_orders (
    version_id integer NOT NULL,
    what       text NOT NULL CHECK (what IN ('resend')),
    at         timestamptz NOT NULL,
    said_by    text NOT NULL,
    reason     text,
    notices    bigint NOT NULL,
    PRIMARY KEY (version_id, what, at)
);
CREATE TRIGGER release_orders_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON release_orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE release_orders IS 'local: few, and only written and listed';

CREATE OR REPLACE VIEW last_notices AS
SELECT DISTINCT ON (bucket, account_key, version_id)
    bucket, account_key, version_id, notice_id, sequence, kind, state, suppression, ask_id,
    undelivered, dead, address_hash, again
FROM notices
WHERE kind <> 'reminder'
ORDER BY bucket, account_key, version_id, sequence DESC;

-- What planning needs to know about an account. No column that planning compares is null.
CREATE OR REPLACE VIEW situations AS
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
    -- It is useless to ask again at the address that the mail did not reach, as long as nothing says
    -- that it would now.
    coalesce(last.undelivered AND (last.address_hash IS DISTINCT FROM reach.address_hash
                                   OR last.again <> 'given_up'), false) AS last_undelivered,
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
