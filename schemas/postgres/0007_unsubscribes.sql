-- Who wants no more optional mail, in their own words to us: account events know nothing of it, so
-- none of them takes it back. It lasts, as a complaint does, until a deletion dated after it.

CREATE TABLE unsubscribes (
    unsubscribe_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_key    bigint NOT NULL,
    -- The mail that it was said about. Said of the same mail again, it is the same.
    notice_id      uuid NOT NULL REFERENCES notices,
    reason         text NOT NULL CHECK (reason IN ('unsubscribed', 'complained')),
    channel        text NOT NULL CHECK (channel IN ('page', 'one_click', 'provider')),
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (notice_id, reason)
);
CREATE INDEX unsubscribes_account ON unsubscribes (account_key);
CREATE INDEX unsubscribes_changed ON unsubscribes (changed, account_key);
CREATE TRIGGER unsubscribes_stay BEFORE DELETE OR TRUNCATE ON unsubscribes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The latest time, beside the facts that decide about mail.
ALTER TABLE accounts ADD COLUMN unsubscribed_at timestamptz;
ALTER TABLE accounts
    ADD COLUMN unsubscribed boolean NOT NULL GENERATED ALWAYS AS (
        unsubscribed_at IS NOT NULL
        AND (deleted_at IS NULL OR unsubscribed_at > deleted_at)) STORED;

-- What providers report may be an unsubscribe, by a link of theirs.
ALTER TABLE mail_events DROP CONSTRAINT mail_events_event_check;
ALTER TABLE mail_events ADD CHECK (event IN (
    'delivered', 'deferred', 'bounced', 'dropped', 'complained', 'unsubscribed'));

-- Complaints from before this table.
INSERT INTO unsubscribes (account_key, notice_id, reason, channel, occurred_at)
SELECT account_key, notice_id, 'complained', 'provider', min(occurred_at)
FROM mail_events JOIN notices USING (notice_id)
WHERE event = 'complained' GROUP BY account_key, notice_id;

INSERT INTO cursors (name) VALUES ('relay unsubscribes unsubscribes');
CREATE TABLE relayed_unsubscribes (
    item     bigint PRIMARY KEY,
    revision integer NOT NULL,
    digest   bigint
) WITH (fillfactor = 70);
