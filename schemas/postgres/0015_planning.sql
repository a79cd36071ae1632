-- Planning a release at the pace at which its notices can be written.

-- The same ids as before. A number that is joined to a text is converted by a function that depends on
-- the session, so PostgreSQL called the function row by row, at thirty times the cost; a number that
-- is cast does not.
CREATE OR REPLACE FUNCTION notice_id(
    published text, stem text, mask bigint,
    account_key bigint, property text, account text, sequence integer) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (overlay(published || left(md5(stem || property || '/' || account || '/'
                                          || sequence::text), 9)
                    PLACING '8' FROM 13)
            || to_hex((sequence::bigint & 63) << 54 | (account_key # mask)
                      | x'a000000000000000'::bigint))::uuid
$$;

-- Planning a release no longer logs each notice as a change: the relay of notices goes through the
-- accounts of the version, behind the planner. Where it was through before the planner, it begins
-- again: what it published already is not published twice.
UPDATE relay_sweeps SET account_key = 0, done = false
WHERE topic = 'notices'
  AND version_id IN (SELECT version_id FROM releases WHERE state = 'planning');

-- Whether and how an account can be mailed. A row lock on this view locks the account and its sets. A
-- person can decline optional mail in the account (`stated_contact`) or with us (`unsubscribed_at`):
-- `contact` is the stricter of the two. `sets_bucket` and `sets_key` are the account's bucket and key
-- too: a range of keys, or a list of buckets, must be given for both, because PostgreSQL does not
-- conclude from one to the other.
CREATE OR REPLACE VIEW account_reach AS
SELECT
    accounts.bucket, accounts.account_key, property, account, email, name, locale, status,
    CASE WHEN contact = 'all' AND unsubscribed THEN 'service' ELSE contact END AS contact,
    contact AS stated_contact,
    CASE WHEN unsubscribed THEN unsubscribed_at END AS unsubscribed_at,
    minor,
    CASE WHEN email IS NULL THEN 'none'
         WHEN complained OR EXISTS (
             SELECT FROM mailbox_marks AS marks
             WHERE marks.bucket = bucket_of_hash(accounts.address_hash)
               AND marks.address_hash = accounts.address_hash
               AND mark = 'bounced' AND lifted_at IS NULL) THEN 'bounced'
         ELSE 'ok' END AS address,
    address_hash, holdings_id, standing_id, told_id, updated_at, deleted_at,
    sets.account_key AS sets_key, complained, sets.bucket AS sets_bucket
FROM accounts JOIN account_sets AS sets
  ON sets.bucket = accounts.bucket AND sets.account_key = accounts.account_key;

-- What planning needs to know about an account. No column that planning compares is null.
DROP VIEW situations;
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
