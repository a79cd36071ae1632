-- Views for what several statements need in the same way. And a deletion can now erase the hash of
-- the address from a notice.

-- Whether and how an account can be mailed. A row lock on this view locks the account. A person can
-- decline optional mail in the account (`stated_contact`) or with us (`unsubscribed_at`): `contact`
-- is the stricter of the two.
CREATE VIEW account_reach AS
SELECT
    account_key, property, account, email, name, locale, status,
    CASE WHEN contact = 'all' AND unsubscribed THEN 'service' ELSE contact END AS contact,
    contact AS stated_contact,
    CASE WHEN unsubscribed THEN unsubscribed_at END AS unsubscribed_at,
    minor,
    CASE WHEN email IS NULL THEN 'none'
         WHEN complained OR EXISTS (
             SELECT FROM bounced_addresses AS bounced
             WHERE bounced.address_hash = accounts.address_hash) THEN 'bounced'
         ELSE 'ok' END AS address,
    address_hash, holdings_id, standing_id, updated_at, deleted_at, changed
FROM accounts;

-- The last notice of each account and version, without reminders. Filter by account and version, in
-- a LATERAL subquery with OFFSET 0 or in an expression: then one index lookup finds the row. Any
-- other join computes the view for all accounts.
CREATE VIEW last_notices AS
SELECT DISTINCT ON (account_key, version_id)
    account_key, version_id, notice_id, sequence, kind, state, ask_id, undelivered, dead,
    address_hash
FROM notices
WHERE kind <> 'reminder'
ORDER BY account_key, version_id, sequence DESC;

-- The pairs of data category and version that accounts hold, with the time of the first collection
-- since an erasure and the day of the last. A deleted account holds nothing.
CREATE VIEW first_collections AS
SELECT
    account_key, data_category, collected_under,
    min(collected_at) AS first_collected_at,
    (max(collected_at) AT TIME ZONE 'UTC')::date AS last_collected_on,
    min(source) AS source
FROM collections JOIN accounts USING (account_key)
WHERE status <> 'deleted'
GROUP BY account_key, data_category, collected_under;

-- The members of each account's set of holdings, in the form of `holdings`.
CREATE VIEW collected_sets AS
SELECT
    account_key,
    jsonb_agg(jsonb_build_array(data_category, collected_under)
              ORDER BY data_category COLLATE "C", collected_under COLLATE "C" NULLS FIRST) AS members
FROM (SELECT DISTINCT account_key, data_category, collected_under FROM collections) AS pairs
GROUP BY account_key;

-- What planning needs to know about an account. No column that planning compares is null.
CREATE OR REPLACE VIEW situations AS
SELECT
    reach.account_key, reach.property, properties.policy, latest.version_id,
    reach.holdings_id, reach.standing_id, reach.status, reach.contact, reach.minor, reach.address,
    last.notice_id AS last_notice,
    coalesce(last.sequence, 0) AS last_sequence,
    coalesce(last.kind, '') AS last_kind,
    coalesce(last.state, '') AS last_state,
    coalesce(last.ask_id, 0) AS last_ask,
    -- It is useless to ask again at the address that the mail did not reach.
    coalesce(last.undelivered AND last.address_hash IS DISTINCT FROM reach.address_hash, false)
        AS last_undelivered,
    coalesce(last.dead, false) AS last_dead,
    -- An unsent information notice of an earlier version moves to this one.
    coalesce((
        SELECT kind = 'information' AND state IN ('planned', 'due') FROM notices AS earlier
        WHERE earlier.account_key = reach.account_key
          AND earlier.version_id < latest.version_id AND kind <> 'reminder'
        ORDER BY version_id DESC, sequence DESC LIMIT 1
    ), false) AS passes_on
FROM account_reach AS reach
JOIN properties USING (property)
JOIN LATERAL (
    SELECT max(version_id) AS version_id FROM policy_versions
    WHERE policy_versions.policy = properties.policy
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT * FROM last_notices AS notice
    WHERE notice.account_key = reach.account_key AND notice.version_id = latest.version_id
    OFFSET 0
) AS last ON true;

-- The state says whether planning is finished.
ALTER TABLE releases DROP COLUMN planned;

-- A late bounce marks the address by the hash on its notice. The notice of a deleted account loses
-- the hash when no bounce is expected any more. Every other notice that was sent keeps it.
ALTER TABLE notices
    DROP CONSTRAINT notices_check3,
    ADD CONSTRAINT notices_sent_with CHECK (
        state IN ('planned', 'due', 'suppressed', 'superseded')
        OR (attempt_id IS NOT NULL AND rendering IS NOT NULL
            AND (address_hash IS NOT NULL OR dead)));
CREATE INDEX notices_hashes_of_deleted ON notices (accepted_at)
    WHERE dead AND address_hash IS NOT NULL;

-- Accounts that were deleted before this migration, and minors': what providers wrote about their
-- mails may quote the address.
UPDATE notices SET reason = NULL FROM accounts
WHERE accounts.account_key = notices.account_key AND (dead OR minor) AND reason IS NOT NULL;
UPDATE mail_events SET reason = NULL FROM notices JOIN accounts USING (account_key)
WHERE notices.notice_id = mail_events.notice_id AND (dead OR minor)
  AND mail_events.reason IS NOT NULL;
