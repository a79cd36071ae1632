-- What changed is appended to a log, and which cluster the log was written in is recorded. Before,
-- the transaction that changed a row was a column of the row, with an index: each update wrote to
-- every index of the row's table.

-- Programs of before may be at work: what they change is committed, and seen here, before we go on.
LOCK TABLE accounts, notices, consents, unsubscribes;

-- `changed` is the transaction that made the change. Transactions are compared as xid8, never as
-- text. '0' stands for all transactions before this migration, and for those of a cluster that this
-- database was restored from.
CREATE TABLE changes (
    changed     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    account_key bigint NOT NULL,
    stream      text NOT NULL CHECK (stream IN ('accounts', 'notices', 'consents', 'unsubscribes'))
);
CREATE INDEX changes_in_order ON changes (stream, changed, account_key);

-- The changes that the planner has not seen. A cursor in the future was restored from another cluster,
-- where the planner saw nothing of what changed since: it looks at all accounts again.
INSERT INTO changes (changed, account_key, stream)
SELECT '0', accounts.account_key, 'accounts'
FROM accounts, cursors
WHERE cursors.name = 'planner'
  AND ((accounts.changed, accounts.account_key) > (cursors.changed, cursors.account_key)
       OR cursors.changed > pg_current_xact_id());

-- How far each reader of the log came. A relay without a cursor begins with all accounts, so every
-- topic is published in full once: relays of earlier versions skipped changes.
CREATE TABLE followers (
    follower    text NOT NULL,
    stream      text NOT NULL,
    changed     xid8 NOT NULL,
    account_key bigint NOT NULL,
    PRIMARY KEY (follower, stream)
) WITH (fillfactor = 50);
INSERT INTO followers (follower, stream, changed, account_key)
VALUES ('planner', 'accounts', '0', 0);
DROP TABLE cursors;

-- How far a topic came along all accounts; without a row, it is not going along them.
CREATE TABLE relay_full_sweeps (
    topic       text PRIMARY KEY,
    account_key bigint NOT NULL DEFAULT 0
);

-- Where the database has lived: in which cluster, on which timeline, and under which number this
-- table, which is another one after a restore into the same cluster. Each restore adds a row: mails
-- sent after the backup may be unknown here, so sending waits for a person (`sending_since`).
CREATE TABLE clusters (
    era               integer PRIMARY KEY,
    system_identifier bigint NOT NULL,
    timeline          integer NOT NULL,
    relation          bigint NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    sending_since     timestamptz
);
-- Where it is now.
CREATE FUNCTION this_cluster(
    OUT system_identifier bigint, OUT timeline integer, OUT relation bigint)
LANGUAGE sql STABLE AS $$
    SELECT system_identifier,
           ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer,
           'clusters'::regclass::oid::bigint
    FROM pg_control_system()
$$;
INSERT INTO clusters (era, system_identifier, timeline, relation, sending_since)
SELECT 0, system_identifier, timeline, relation, clock_timestamp() FROM this_cluster();

-- What was published before a restore may differ from what is recorded here, so it is published
-- again. The era is part of the event's id. It is the number of the second in which it began, so that
-- two restores of the same backup differ, and 0 before the first restore.
ALTER TABLE relayed_notices ADD COLUMN era integer NOT NULL DEFAULT 0;
ALTER TABLE relayed_consents ADD COLUMN era integer NOT NULL DEFAULT 0;
ALTER TABLE relayed_permissions ADD COLUMN era integer NOT NULL DEFAULT 0;
ALTER TABLE relayed_unsubscribes ADD COLUMN era integer NOT NULL DEFAULT 0;

-- The views again, without the column.
DROP VIEW situations;
DROP VIEW account_reach;
ALTER TABLE accounts DROP COLUMN changed;
ALTER TABLE notices DROP COLUMN changed;
ALTER TABLE consents DROP COLUMN changed;
ALTER TABLE unsubscribes DROP COLUMN changed;

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
    address_hash, holdings_id, standing_id, updated_at, deleted_at
FROM accounts;

-- What planning needs to know about an account. No column that planning compares is null.
CREATE VIEW situations AS
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
