-- A question that failed and then arrived is not asked again. RULES 15.

-- `arrived`: after it had failed it was delivered, so nothing is a reason to ask again, whatever `again`
-- was before.
ALTER TABLE notices DROP CONSTRAINT notices_again_check;
ALTER TABLE notices ADD CONSTRAINT notices_again_check
    CHECK (again IN ('lifted', 'delivered', 'waited', 'ordered', 'given_up', 'arrived'));

UPDATE notices SET again = 'arrived'
WHERE undelivered AND EXISTS (
    SELECT FROM mail_events AS reports
    WHERE reports.bucket = notices.bucket AND reports.account_key = notices.account_key
      AND reports.notice_id = notices.notice_id
      AND event = 'delivered' AND occurred_at > undelivered_at);

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
    -- that it would now; and nobody is asked again in a mail like one that arrived in the end.
    coalesce(last.undelivered AND last.again IS DISTINCT FROM 'arrived'
             AND (last.address_hash IS DISTINCT FROM reach.address_hash
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
