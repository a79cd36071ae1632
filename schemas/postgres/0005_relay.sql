-- What the relay follows, how far it came, and what it published.

-- `changed` is the transaction that changed a row last, as on accounts.
ALTER TABLE notices ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX notices_changed ON notices (changed, account_key);
ALTER TABLE consents ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX consents_changed ON consents (changed, account_key);

INSERT INTO cursors (name) VALUES
    ('relay notices accounts'), ('relay notices notices'),
    ('relay consents accounts'), ('relay consents consents'),
    ('relay permissions accounts');

-- A published version can change what is said of any account of its policy: they are gone through
-- once for each topic.
CREATE TABLE relay_sweeps (
    topic       text NOT NULL,
    version_id  integer NOT NULL REFERENCES policy_versions,
    account_key bigint NOT NULL DEFAULT 0,
    done        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (topic, version_id)
);

-- What a relay is about to say, committed before the first byte leaves.
CREATE TABLE relay_intents (
    topic text PRIMARY KEY,
    items text[] NOT NULL
);

-- What was published last, as a digest (null: a tombstone), so that only what differs is published;
-- the revision makes an event's id.
CREATE TABLE relayed_notices (
    item     uuid PRIMARY KEY,
    revision integer NOT NULL,
    digest   bigint
) WITH (fillfactor = 70);
CREATE TABLE relayed_consents (
    item     bigint PRIMARY KEY,
    revision integer NOT NULL,
    digest   bigint
) WITH (fillfactor = 70);
CREATE TABLE relayed_permissions (
    item     bigint PRIMARY KEY,
    revision integer NOT NULL,
    digest   bigint
) WITH (fillfactor = 70);
