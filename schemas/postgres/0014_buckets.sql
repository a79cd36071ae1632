-- Every row of an account is stored in the account's bucket: a number from 0 to 63, computed from
-- property and account. All keys of such tables contain the bucket, and all look-ups name it. So the
-- tables can be distributed over several PostgreSQL servers, bucket by bucket; the comment on each
-- table says where it would lie.
--
-- Ids are computed from what they stand for instead of drawn from a sequence: those of notices, of
-- the sets that accounts share, and the numbers of an account's ledger entries. Only accounts are
-- numbered. The big tables are rewritten once, with columns that later versions will fill.

-- Earlier programs may still be running: wait until what they wrote is committed.
LOCK TABLE policies, policy_versions, accounts, account_history, collections, collection_erasures,
    notices, mail_events, consents, consent_evidence, unsubscribes, changes, followers;

-- ------------------------------------------------------------------ buckets and ids

-- In Citus, only immutable functions are computed where the rows are.
CREATE FUNCTION bucket_of_name(property text, account text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (('x' || left(md5(property || '/' || account), 2))::bit(8)::integer & 63)::smallint
$$;
-- The last six bits of an account's key are its bucket. The number before them is given in the order
-- in which accounts are first heard of, so that accounts in the order of their keys lie side by side.
CREATE FUNCTION bucket_of(account_key bigint) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (account_key & 63)::smallint $$;
CREATE FUNCTION bucket_of_id(id uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (('x' || left(id::text, 2))::bit(8)::integer & 63)::smallint
$$;
CREATE FUNCTION bucket_of_hash(hash bytea) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (get_byte(hash, 0) & 63)::smallint $$;

-- Accounts by their keys, and notices with the keys of their accounts, with their buckets.
CREATE FUNCTION listed(account_keys bigint[]) RETURNS TABLE (bucket smallint, account_key bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (key & 63)::smallint, key FROM unnest(account_keys) AS key
$$;
CREATE FUNCTION listed(account_keys bigint[], notice_ids uuid[])
RETURNS TABLE (bucket smallint, account_key bigint, notice_id uuid)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (key & 63)::smallint, key, id FROM unnest(account_keys, notice_ids) AS one (key, id)
$$;

-- All buckets, for what is done once for each.
CREATE TABLE buckets (
    bucket smallint PRIMARY KEY CHECK (bucket BETWEEN 0 AND 63)
);
INSERT INTO buckets SELECT generate_series(0, 63);
COMMENT ON TABLE buckets IS 'distributed: a row in each bucket';

-- A set is known by its digest; the empty set is 0.
CREATE FUNCTION set_id(members jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN members = '[]' THEN 0
                ELSE ('x' || left(md5(members::text), 16))::bit(64)::bigint END
$$;

-- The id of a notice is computed from the account, the version and the sequence, so that planning
-- again gives the same id, also after a restore if account and version were in the backup. It is a
-- UUID of version 8: the time at which the version was published, a digest, the sequence, and the
-- account's key. The salt hides the key, and keeps ids from being guessed.
CREATE TABLE notice_salt (
    salt text   NOT NULL DEFAULT gen_random_uuid(),
    mask bigint NOT NULL DEFAULT (floor(random() * (1::bigint << 24))::bigint << 24
                                  | floor(random() * (1::bigint << 24))::bigint) << 6
);
INSERT INTO notice_salt DEFAULT VALUES;
COMMENT ON TABLE notice_salt IS 'reference: a single row';

-- 7 digits of time, 5 and 3 of the digest around the version, and after 'a' 6 bits of the sequence
-- and 54 of the key: two notices of an account and version never have the same id.
CREATE FUNCTION notice_id(
    published text, stem text, mask bigint,
    account_key bigint, property text, account text, sequence integer) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (overlay(published || left(md5(stem || property || '/' || account || '/' || sequence), 9)
                    PLACING '8' FROM 13)
            || to_hex((sequence::bigint & 63) << 54 | (account_key # mask)
                      | x'a000000000000000'::bigint))::uuid
$$;
CREATE FUNCTION is_computed(id uuid) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT substr(id::text, 15, 1) = '8' $$;
CREATE FUNCTION account_in(id uuid, mask bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (('x' || substr(id::text, 21, 3) || substr(id::text, 25, 12))::bit(60)::bigint
            & x'3fffffffffffff'::bigint) # mask
$$;

-- The earlier attempts to send a notice, and one more.
CREATE FUNCTION tried_too(tried jsonb, attempt_id bigint, outcome text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(tried, '[]') || jsonb_build_array(jsonb_build_array(attempt_id, outcome))
$$;

-- ------------------------------------------------------------------ old tables are renamed

DROP VIEW situations, account_reach, last_notices, first_collections, collected_sets;
DO $$
DECLARE
    old text;
    made text;
BEGIN
    FOREACH old IN ARRAY ARRAY[
        'holdings', 'standings', 'asks', 'accounts', 'account_history', 'collections',
        'collection_erasures', 'bounced_addresses', 'notices', 'mail_events', 'consents',
        'consent_evidence', 'unsubscribes', 'changes', 'followers', 'notice_counts',
        'relay_sweeps', 'relay_full_sweeps', 'relay_intents', 'relayed_notices',
        'relayed_consents', 'relayed_permissions', 'relayed_unsubscribes']
    LOOP
        FOR made IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = old::regclass
        LOOP
            EXECUTE format('ALTER INDEX %s RENAME TO %I', made, 'before_' || made);
        END LOOP;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', old, 'before_' || old);
    END LOOP;
END
$$;

-- Statistics may be old, or missing after a restore.
ANALYZE before_accounts, before_account_history, before_collections, before_notices,
    before_mail_events, before_consents, before_unsubscribes, before_relayed_notices,
    before_relayed_consents, before_relayed_permissions, before_relayed_unsubscribes;

-- ------------------------------------------------------------------ sets that accounts share

CREATE TABLE holdings (
    holdings_id bigint PRIMARY KEY CHECK (holdings_id = set_id(members)),
    members     jsonb NOT NULL,
    digest      bytea NOT NULL UNIQUE
);
CREATE TABLE standings (
    standing_id bigint PRIMARY KEY CHECK (standing_id = set_id(members)),
    members     jsonb NOT NULL,
    digest      bytea NOT NULL UNIQUE
);
CREATE TABLE asks (
    ask_id  bigint PRIMARY KEY CHECK (ask_id = set_id(members)),
    members jsonb NOT NULL,
    digest  bytea NOT NULL UNIQUE
);
-- What accounts were told, with the day. RULES 36, 37.
CREATE TABLE told_sets (
    told_id bigint PRIMARY KEY CHECK (told_id = set_id(members)),
    members jsonb NOT NULL,
    digest  bytea NOT NULL UNIQUE
);
INSERT INTO holdings SELECT set_id(members), members, digest FROM before_holdings;
INSERT INTO standings SELECT set_id(members), members, digest FROM before_standings;
INSERT INTO asks SELECT set_id(members), members, digest FROM before_asks;
INSERT INTO told_sets VALUES (0, '[]', sha256('[]'));
COMMENT ON TABLE holdings IS 'reference: few, and joined with every account';
COMMENT ON TABLE standings IS 'reference: few, and joined with every account';
COMMENT ON TABLE asks IS 'reference: few, and joined with every notice';
COMMENT ON TABLE told_sets IS 'reference: few, and joined with every account';

CREATE FUNCTION pg_temp.ask(before integer) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT set_id(members) FROM before_asks WHERE ask_id = before
$$;
ALTER TABLE renderings DROP CONSTRAINT renderings_ask_id_fkey;
ALTER TABLE renderings ALTER COLUMN ask_id TYPE bigint USING pg_temp.ask(ask_id);
ALTER TABLE renderings ADD FOREIGN KEY (ask_id) REFERENCES asks;

-- ------------------------------------------------------------------ versions

-- A version's id is the next one, given while publishing is locked.
ALTER TABLE policy_versions ALTER COLUMN version_id DROP IDENTITY;
-- When this database recorded it. `published_at` comes with the event.
ALTER TABLE policy_versions ADD COLUMN recorded_at timestamptz;
ALTER TABLE policy_versions DISABLE TRIGGER policy_versions_immutable;
UPDATE policy_versions SET recorded_at = published_at;
ALTER TABLE policy_versions ENABLE TRIGGER policy_versions_immutable;
ALTER TABLE policy_versions
    ALTER COLUMN recorded_at SET DEFAULT clock_timestamp(),
    ALTER COLUMN recorded_at SET NOT NULL;

-- What the ids of a version's notices are made with; the time is in units of 16 seconds.
CREATE VIEW notice_stems AS
SELECT version_id,
       lpad(to_hex(floor(extract(epoch FROM published_at) / 16)::bigint), 7, '0') AS published,
       salt || content_hash AS stem, mask
FROM policy_versions CROSS JOIN notice_salt;

-- ------------------------------------------------------------------ accounts

CREATE TABLE accounts (
    bucket            smallint NOT NULL,
    account_key       bigint NOT NULL CHECK (account_key & 63 = bucket),
    property          text COLLATE "C" NOT NULL,
    account           text COLLATE "C" NOT NULL,
    status            text NOT NULL DEFAULT 'active'
                      CHECK (status IN ('active', 'deactivated', 'deleted')),
    contact           text NOT NULL DEFAULT 'all' CHECK (contact IN ('all', 'service', 'none')),
    minor             boolean NOT NULL DEFAULT false,
    email             text,
    name              text,
    locale            text,
    time_zone         text,
    country           text,
    address_hash      bytea,
    -- The time from which the last event counts, and the time that it states.
    updated_at        timestamptz,
    stated_at         timestamptz,
    deleted_at        timestamptz,
    -- Since when the account has this address, and what lifts marks and unsubscribes. RULES 15.
    address_since     timestamptz,
    email_verified_at timestamptz,
    opted_in_at       timestamptz,
    complained_at     timestamptz,
    complained        boolean NOT NULL GENERATED ALWAYS AS (
                          complained_at IS NOT NULL
                          AND (deleted_at IS NULL OR complained_at > deleted_at)) STORED,
    unsubscribed_at   timestamptz,
    unsubscribed      boolean NOT NULL GENERATED ALWAYS AS (
                          unsubscribed_at IS NOT NULL
                          AND (deleted_at IS NULL OR unsubscribed_at > deleted_at)) STORED,
    PRIMARY KEY (bucket, account_key),
    CHECK (bucket = bucket_of_name(property, account)),
    CHECK ((status <> 'deleted' AND NOT minor) OR (email IS NULL AND name IS NULL)),
    CHECK ((email IS NULL) = (address_hash IS NULL))
) WITH (fillfactor = 85);
-- Gives the numbers in account keys; the sequence of an identity column would give whole keys.
CREATE SEQUENCE account_numbers;

INSERT INTO accounts (
    bucket, account_key, property, account, status, contact, minor, email, name, locale, time_zone,
    address_hash, updated_at, deleted_at, complained_at, unsubscribed_at)
SELECT bucket, account_key << 6 | bucket, property, account, status, contact, minor, email, name,
       locale, time_zone, address_hash, updated_at, deleted_at, complained_at, unsubscribed_at
FROM before_accounts CROSS JOIN LATERAL bucket_of_name(property, account) AS bucket
ORDER BY account_key;
SELECT setval('account_numbers', coalesce(max(account_key >> 6) + 1, 1), false) FROM accounts;

-- Lists are in the order of names, so the bucket is last here; a look-up names all three.
ALTER TABLE accounts ADD UNIQUE (property, account, bucket);
CREATE INDEX accounts_address ON accounts (address_hash) WHERE address_hash IS NOT NULL;
CREATE INDEX accounts_of_minors ON accounts (bucket, account_key) WHERE minor;
COMMENT ON TABLE accounts IS 'distributed: in the bucket of property and account';

-- The sets that an account shares with others: its cohort. They change more often than the account,
-- and an update of this narrow row writes no index.
CREATE TABLE account_sets (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    holdings_id bigint NOT NULL DEFAULT 0,
    standing_id bigint NOT NULL DEFAULT 0,
    told_id     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, account_key)
) WITH (fillfactor = 50);
COMMENT ON TABLE account_sets IS 'distributed: in the account''s bucket';

-- The new key of each old one. A row without an account makes the migration fail, because keys must
-- not be null.
CREATE TEMPORARY TABLE keys ON COMMIT DROP AS
SELECT account_key >> 6 AS before, bucket, account_key FROM accounts;
CREATE UNIQUE INDEX keys_before ON keys (before);
ANALYZE keys;

INSERT INTO account_sets (bucket, account_key, holdings_id, standing_id)
SELECT bucket, keys.account_key, set_id(holdings.members), set_id(standings.members)
FROM before_accounts
JOIN keys ON before = before_accounts.account_key
LEFT JOIN before_holdings AS holdings USING (holdings_id)
LEFT JOIN before_standings AS standings USING (standing_id)
ORDER BY keys.account_key;

-- Each status, contact and minor that was stated, without anything personal: `since` is the time from
-- which it counts. RULES 27, 30.
CREATE TABLE account_history (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    since       timestamptz NOT NULL,
    status      text NOT NULL,
    contact     text NOT NULL,
    minor       boolean NOT NULL,
    stated_at   timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO account_history (
    bucket, account_key, since, status, contact, minor, recorded_at)
SELECT bucket, keys.account_key, since, status, contact, minor, recorded_at
FROM before_account_history AS history LEFT JOIN keys ON before = history.account_key
ORDER BY keys.account_key, since, recorded_at;
CREATE INDEX account_history_account ON account_history (bucket, account_key, since);
COMMENT ON TABLE account_history IS 'distributed: in the account''s bucket';

-- Each time at which data is known to have been collected: which of them is the first that counts
-- depends on erasures that may arrive later. What was recorded before this migration was known by
-- then, which is all that can be said of it.
CREATE TABLE collections (
    bucket          smallint NOT NULL,
    account_key     bigint NOT NULL,
    data_category   text NOT NULL,
    collected_under text,
    collected_at    timestamptz NOT NULL,
    source          text NOT NULL CHECK (source IN ('person', 'third_party')),
    stated_at       timestamptz,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO collections (
    bucket, account_key, data_category, collected_under, collected_at, source)
SELECT bucket, keys.account_key, data_category, collected_under, collected_at, source
FROM before_collections AS known LEFT JOIN keys ON before = known.account_key
ORDER BY keys.account_key;
ALTER TABLE collections ADD UNIQUE NULLS NOT DISTINCT
    (bucket, account_key, data_category, collected_under, collected_at);
COMMENT ON TABLE collections IS 'distributed: in the account''s bucket';

CREATE TABLE collection_erasures (
    bucket          smallint NOT NULL,
    account_key     bigint NOT NULL,
    data_category   text NOT NULL,
    collected_under text,
    erased_at       timestamptz NOT NULL,
    stated_at       timestamptz,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (bucket, account_key, data_category, collected_under, erased_at)
);
INSERT INTO collection_erasures (
    bucket, account_key, data_category, collected_under, erased_at)
SELECT bucket, keys.account_key, data_category, collected_under, erased_at
FROM before_collection_erasures AS known LEFT JOIN keys ON before = known.account_key;
COMMENT ON TABLE collection_erasures IS 'distributed: in the account''s bucket';

-- Marks on mailboxes, by the keyed hash of the address. RULES 15. Planning joins them with accounts
-- of all buckets, so they are copied everywhere.
CREATE TABLE mailbox_marks (
    bucket       smallint NOT NULL,
    address_hash bytea NOT NULL,
    mark         text NOT NULL CHECK (mark IN ('bounced', 'complained')),
    marked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    stated_at    timestamptz,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_at    timestamptz,
    lifted_for   text,
    PRIMARY KEY (bucket, address_hash, mark),
    CHECK (bucket = bucket_of_hash(address_hash))
);
INSERT INTO mailbox_marks (bucket, address_hash, mark, marked_at, recorded_at)
SELECT bucket_of_hash(address_hash), address_hash, 'bounced', recorded_at, recorded_at
FROM before_bounced_addresses;
COMMENT ON TABLE mailbox_marks IS 'reference: joined with every account';

-- ------------------------------------------------------------------ notices

-- A release writes millions of these at once. What they point to (account, version, ask, attempt,
-- rendering) comes from the statement that writes them and is never deleted: foreign keys would look
-- each of it up again. An id says which account it is of, so it needs no index of its own.
CREATE TABLE notices (
    bucket       smallint NOT NULL,
    account_key  bigint NOT NULL,
    version_id   integer NOT NULL,
    sequence     smallint NOT NULL CHECK (sequence > 0),
    notice_id    uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('choice', 'information', 'transition', 'reminder')),
    state        text NOT NULL CHECK (state IN (
                     'planned', 'due', 'attempting', 'accepted', 'delivered', 'bounced',
                     'complained', 'rejected', 'unknown', 'abandoned', 'suppressed',
                     'superseded')),
    suppression  text CHECK (suppression IN (
                     'minor', 'deactivated', 'all_comms_opt_out', 'not_opted_in', 'no_address',
                     'bounced', 'deleted', 'cancelled')),
    ask_id       bigint NOT NULL,
    settled      text CHECK (settled IN ('answered', 'expired', 'told', 'superseded', 'void')),
    undelivered  boolean NOT NULL DEFAULT false,
    dead         boolean NOT NULL DEFAULT false,
    attempt_id   bigint,
    rendering    text,
    address_hash bytea,
    accepted_at  timestamptz,
    -- The notice that a reminder is about, and which of its version's reminders it is.
    about        uuid,
    occasion     smallint,
    -- The number of a mailed question's last reminder, 0 before the first.
    reminded     smallint NOT NULL DEFAULT 0,
    -- The provider wants it no earlier.
    not_before   timestamptz,
    -- What the provider said last, in its words.
    reason       text,
    -- The attempts before the present one, with what became of it: [[attempt, outcome], …].
    tried        jsonb,
    PRIMARY KEY (bucket, account_key, version_id, sequence),
    CHECK ((state = 'suppressed') = (suppression IS NOT NULL)),
    CHECK (kind IN ('information', 'transition') OR ask_id <> 0),
    CHECK (kind = 'choice' OR settled IS NULL),
    CHECK (state IN ('planned', 'due', 'suppressed', 'superseded')
           OR (attempt_id IS NOT NULL AND rendering IS NOT NULL
               AND (address_hash IS NOT NULL OR dead))),
    CHECK (state NOT IN ('accepted', 'delivered', 'complained') OR accepted_at IS NOT NULL),
    CHECK (NOT dead OR state NOT IN ('planned', 'due')),
    CHECK ((kind = 'reminder') = (about IS NOT NULL)),
    CHECK ((about IS NULL) = (occasion IS NULL)),
    CHECK (tried IS NULL OR attempt_id IS NOT NULL)
) WITH (fillfactor = 70);
INSERT INTO notices (
    bucket, account_key, version_id, sequence, notice_id, kind, state, suppression, ask_id, settled,
    undelivered, dead, attempt_id, rendering, address_hash, accepted_at, about, occasion, reminded,
    not_before, reason, tried)
SELECT bucket, keys.account_key, version_id, sequence, notice_id, kind, state, suppression,
       set_id(asks.members), settled, undelivered, dead, attempt_id, rendering, address_hash,
       accepted_at, about, occasion, reminded, not_before, reason, tried
FROM before_notices AS known
LEFT JOIN keys ON before = known.account_key LEFT JOIN before_asks AS asks USING (ask_id)
ORDER BY keys.account_key, version_id, sequence;
-- Claimed bucket by bucket, and by ask, so that those who share a mail are sent it together.
CREATE INDEX notices_due ON notices (bucket, version_id, ask_id)
    WHERE state = 'due' AND not_before IS NULL;
-- What falls due is looked for in all buckets at once, so the bucket is not in these.
CREATE INDEX notices_deferred ON notices (version_id, not_before)
    WHERE state = 'due' AND not_before IS NOT NULL;
CREATE INDEX notices_planned ON notices (version_id) WHERE state = 'planned';
CREATE INDEX notices_attempting ON notices (attempt_id) WHERE state IN ('attempting', 'unknown');
CREATE INDEX notices_open ON notices (version_id, reminded, accepted_at)
    WHERE kind = 'choice' AND settled IS NULL AND accepted_at IS NOT NULL
      AND NOT undelivered AND NOT dead;
CREATE INDEX notices_hashes_of_deleted ON notices (accepted_at)
    WHERE dead AND address_hash IS NOT NULL;
CREATE INDEX notices_hashes_of_unaccepted ON notices (attempt_id)
    WHERE dead AND address_hash IS NOT NULL AND accepted_at IS NULL;
CREATE UNIQUE INDEX notices_reminders ON notices (bucket, account_key, about, occasion)
    WHERE about IS NOT NULL;
COMMENT ON TABLE notices IS 'distributed: in the account''s bucket';

-- The accounts of notices whose ids were drawn: these ids are in mails, at providers and in topics.
CREATE TABLE early_notices (
    bucket      smallint NOT NULL,
    notice_id   uuid NOT NULL,
    account_key bigint NOT NULL,
    PRIMARY KEY (bucket, notice_id),
    CHECK (bucket = bucket_of_id(notice_id))
);
INSERT INTO early_notices
SELECT bucket_of_id(notice_id), notice_id, account_key FROM notices;
COMMENT ON TABLE early_notices IS 'distributed: in the bucket of the id';

-- How many notices there are in each state: the sums of these rows. Every statement that changes
-- notices appends what it changed, so that writers never wait for one another; the scheduler merges
-- the rows.
CREATE TABLE notice_counts (
    bucket      smallint NOT NULL,
    version_id  integer NOT NULL,
    kind        text NOT NULL,
    state       text NOT NULL,
    suppression text,
    notices     bigint NOT NULL,
    merged      boolean NOT NULL DEFAULT false
);
INSERT INTO notice_counts
SELECT bucket, version_id, kind, state, suppression, count(*), true
FROM notices GROUP BY bucket, version_id, kind, state, suppression;
CREATE INDEX notice_counts_to_merge ON notice_counts (merged) WHERE NOT merged;
COMMENT ON TABLE notice_counts IS 'distributed: in the buckets of the notices';

CREATE TABLE mail_events (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    notice_id   uuid NOT NULL,
    event       text NOT NULL CHECK (event IN (
                    'delivered', 'deferred', 'bounced', 'dropped', 'complained', 'unsubscribed',
                    'shown')),
    occurred_at timestamptz NOT NULL,
    stated_at   timestamptz,
    reason      text,
    provider_id text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT
        (bucket, account_key, notice_id, event, occurred_at, provider_id)
);
INSERT INTO mail_events (
    bucket, account_key, notice_id, event, occurred_at, reason, provider_id, recorded_at)
SELECT bucket, keys.account_key, notice_id, event, occurred_at, events.reason, provider_id,
       recorded_at
FROM before_mail_events AS events LEFT JOIN before_notices AS notices USING (notice_id)
LEFT JOIN keys ON before = notices.account_key;
COMMENT ON TABLE mail_events IS 'distributed: in the account''s bucket';

-- ------------------------------------------------------------------ the ledger

-- What was said, as it was said. '*' is what was left out. `decided_at` is the time from which it
-- counts. An account's entries are numbered while the account is locked. A transaction that has
-- written in several buckets may still have to add a rendering, so none refers to it by a foreign key.
CREATE TABLE consents (
    bucket          smallint NOT NULL,
    account_key     bigint NOT NULL,
    entry           integer NOT NULL CHECK (entry > 0),
    answer          text NOT NULL CHECK (answer IN ('allow', 'deny', 'expired')),
    data_category   text NOT NULL,
    collected_under text,
    data_use        text NOT NULL CHECK (data_use <> '*'),
    recipient       text NOT NULL,
    policy_version  text,
    channel         text,
    notice_id       uuid,
    text_hash       text,
    decided_at      timestamptz NOT NULL,
    stated_at       timestamptz,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    source          text NOT NULL,
    event_id        text NOT NULL,
    item            smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, account_key, entry),
    UNIQUE (bucket, account_key, source, event_id, item)
);
CREATE TEMPORARY TABLE entries ON COMMIT DROP AS
SELECT consent_id, bucket, keys.account_key,
       row_number() OVER (PARTITION BY keys.account_key ORDER BY consent_id)::integer AS entry
FROM before_consents AS consents LEFT JOIN keys ON before = consents.account_key;
CREATE UNIQUE INDEX entries_id ON entries (consent_id);
ANALYZE entries;
INSERT INTO consents (
    bucket, account_key, entry, answer, data_category, collected_under, data_use, recipient,
    policy_version, channel, notice_id, text_hash, decided_at, recorded_at, source, event_id, item)
SELECT bucket, entries.account_key, entry, answer, data_category, collected_under, data_use,
       recipient, policy_version, channel, notice_id, text_hash, decided_at, recorded_at, source,
       event_id, item
FROM before_consents JOIN entries USING (consent_id)
ORDER BY entries.account_key, entry;
ALTER TABLE consents ADD FOREIGN KEY (bucket, account_key) REFERENCES accounts;
-- Publishing a version reads these.
CREATE INDEX consents_without_recipient ON consents (bucket, account_key)
    WHERE answer = 'allow' AND recipient = '*';
COMMENT ON TABLE consents IS 'distributed: in the account''s bucket';

-- Evidence is free text and may be personal: it is stored beside the ledger and erased by a deletion.
CREATE TABLE consent_evidence (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    entry       integer NOT NULL,
    evidence    jsonb NOT NULL,
    PRIMARY KEY (bucket, account_key, entry)
);
INSERT INTO consent_evidence
SELECT bucket, account_key, entry, evidence
FROM before_consent_evidence LEFT JOIN entries USING (consent_id);
ALTER TABLE consent_evidence
    ADD FOREIGN KEY (bucket, account_key, entry) REFERENCES consents;
COMMENT ON TABLE consent_evidence IS 'distributed: in the account''s bucket';

-- Who wants no more optional mail, in their own words to us: account events know nothing of it, so
-- none of them takes it back. Numbered as the ledger is.
CREATE TABLE unsubscribes (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    entry       integer NOT NULL CHECK (entry > 0),
    -- The mail that it was said about. Said of the same mail again, it is the same.
    notice_id   uuid,
    reason      text NOT NULL CHECK (reason IN ('unsubscribed', 'complained')),
    channel     text NOT NULL CHECK (channel IN ('page', 'one_click', 'provider')),
    occurred_at timestamptz NOT NULL,
    stated_at   timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, account_key, entry),
    UNIQUE NULLS NOT DISTINCT (bucket, account_key, notice_id, reason)
);
CREATE TEMPORARY TABLE leavings ON COMMIT DROP AS
SELECT unsubscribe_id, bucket, keys.account_key,
       row_number() OVER (PARTITION BY keys.account_key ORDER BY unsubscribe_id)::integer AS entry
FROM before_unsubscribes AS unsubscribes LEFT JOIN keys ON before = unsubscribes.account_key;
INSERT INTO unsubscribes (
    bucket, account_key, entry, notice_id, reason, channel, occurred_at, recorded_at)
SELECT bucket, leavings.account_key, entry, notice_id, reason, channel, occurred_at, recorded_at
FROM before_unsubscribes JOIN leavings USING (unsubscribe_id);
COMMENT ON TABLE unsubscribes IS 'distributed: in the account''s bucket';

-- ------------------------------------------------------------------ the log, planning, relays

-- `changed` is the transaction that made the change, numbered by the server that the bucket lies on.
-- '0' stands for all transactions before this migration, and for those of a cluster that this
-- database was restored from.
CREATE TABLE changes (
    bucket      smallint NOT NULL,
    changed     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    account_key bigint NOT NULL,
    stream      text NOT NULL CHECK (stream IN ('accounts', 'notices', 'consents', 'unsubscribes'))
);
-- What the planner has not seen yet.
INSERT INTO changes (bucket, changed, account_key, stream)
SELECT DISTINCT bucket, xid8 '0', keys.account_key, stream
FROM before_changes AS known
JOIN before_followers AS planner USING (stream)
JOIN keys ON before = known.account_key
WHERE follower = 'planner'
  AND (known.changed, known.account_key) > (planner.changed, planner.account_key);
CREATE INDEX changes_in_order ON changes (bucket, stream, changed, account_key);
COMMENT ON TABLE changes IS 'distributed: in the account''s bucket';

-- How far each reader of the log came, in each bucket: read for all buckets at once, so the bucket is
-- last in the key, here and in the tables below. The relays begin with all accounts again: what
-- they published already is not published twice.
CREATE TABLE followers (
    bucket      smallint NOT NULL,
    follower    text NOT NULL,
    stream      text NOT NULL,
    changed     xid8 NOT NULL,
    account_key bigint NOT NULL,
    moved_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (follower, stream, bucket)
) WITH (fillfactor = 50);
INSERT INTO followers SELECT bucket, 'planner', 'accounts', '0', 0 FROM buckets;
COMMENT ON TABLE followers IS 'distributed: in each bucket';

-- Up to which account a version has been planned in each bucket.
CREATE TABLE planning_progress (
    bucket     smallint NOT NULL,
    version_id integer NOT NULL,
    planned_to bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (version_id, bucket)
) WITH (fillfactor = 50);
INSERT INTO planning_progress
SELECT bucket, version_id, CASE WHEN planned_to = 0 THEN 0 ELSE planned_to << 6 | 63 END
FROM releases CROSS JOIN buckets WHERE state = 'planning';
ALTER TABLE releases DROP COLUMN planned_to;
COMMENT ON TABLE planning_progress IS 'distributed: in each bucket';

CREATE TABLE relay_sweeps (
    bucket      smallint NOT NULL,
    topic       text NOT NULL,
    version_id  integer NOT NULL,
    account_key bigint NOT NULL DEFAULT 0,
    done        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (topic, version_id, bucket)
) WITH (fillfactor = 50);
COMMENT ON TABLE relay_sweeps IS 'distributed: in each bucket';

-- Up to which account a full sweep of a topic has got; without a row, there is none.
CREATE TABLE relay_full_sweeps (
    bucket      smallint NOT NULL,
    topic       text NOT NULL,
    account_key bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, bucket)
) WITH (fillfactor = 50);
COMMENT ON TABLE relay_full_sweeps IS 'distributed: in each bucket';

-- What was published last of each item, as a digest (null: a tombstone), so that only what differs is
-- published; the revision makes an event's id. An entry of a ledger is written ACCOUNT-ENTRY.
CREATE TABLE relayed_notices (
    bucket   smallint NOT NULL,
    item     uuid NOT NULL,
    revision integer NOT NULL,
    digest   bigint,
    era      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, item)
) WITH (fillfactor = 70);
CREATE TABLE relayed_consents (
    bucket   smallint NOT NULL,
    item     text NOT NULL,
    revision integer NOT NULL,
    digest   bigint,
    era      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, item)
) WITH (fillfactor = 70);
CREATE TABLE relayed_permissions (
    bucket   smallint NOT NULL,
    item     bigint NOT NULL,
    revision integer NOT NULL,
    digest   bigint,
    era      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, item)
) WITH (fillfactor = 70);
CREATE TABLE relayed_unsubscribes (
    bucket   smallint NOT NULL,
    item     text NOT NULL,
    revision integer NOT NULL,
    digest   bigint,
    era      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, item)
) WITH (fillfactor = 70);
INSERT INTO relayed_notices
SELECT keys.bucket, item, revision, digest, era
FROM before_relayed_notices JOIN before_notices AS notices ON notice_id = item
JOIN keys ON before = notices.account_key;
INSERT INTO relayed_consents
SELECT bucket, account_key || '-' || entry, revision, digest, era
FROM before_relayed_consents JOIN entries ON consent_id = item;
INSERT INTO relayed_permissions
SELECT bucket, account_key, revision, digest, era
FROM before_relayed_permissions JOIN keys ON before = item;
INSERT INTO relayed_unsubscribes
SELECT bucket, account_key || '-' || entry, revision, digest, era
FROM before_relayed_unsubscribes JOIN leavings ON unsubscribe_id = item;
COMMENT ON TABLE relayed_notices IS 'distributed: in the bucket of the item''s account';
COMMENT ON TABLE relayed_consents IS 'distributed: in the bucket of the item''s account';
COMMENT ON TABLE relayed_permissions IS 'distributed: in the bucket of the item''s account';
COMMENT ON TABLE relayed_unsubscribes IS 'distributed: in the bucket of the item''s account';

-- What a relay is about to publish, committed before the first byte leaves. What an earlier one was
-- about to publish, and may or may not have published, is published again, as after any crash.
CREATE TABLE relay_intents (
    bucket smallint NOT NULL,
    topic  text NOT NULL,
    items  text[] NOT NULL,
    PRIMARY KEY (topic, bucket)
);
CREATE TEMPORARY TABLE intended ON COMMIT DROP AS
SELECT topic, unnest(items) AS old FROM before_relay_intents;
ANALYZE intended;
INSERT INTO relay_intents
SELECT bucket, topic, array_agg(item)
FROM (
    SELECT topic, keys.bucket, old AS item
    FROM intended
    JOIN before_notices AS notices ON notice_id = CASE WHEN topic = 'notices' THEN old::uuid END
    JOIN keys ON before = notices.account_key
    UNION ALL
    SELECT topic, bucket, account_key::text
    FROM intended JOIN keys ON before = CASE WHEN topic = 'permissions' THEN old::bigint END
    UNION ALL
    SELECT topic, bucket, account_key || '-' || entry
    FROM intended
    JOIN entries ON consent_id = CASE WHEN topic = 'consents' THEN old::bigint END
    UNION ALL
    SELECT topic, bucket, account_key || '-' || entry
    FROM intended
    JOIN leavings ON unsubscribe_id = CASE WHEN topic = 'unsubscribes' THEN old::bigint END
) AS intents
GROUP BY bucket, topic;
COMMENT ON TABLE relay_intents IS 'distributed: in the buckets of the items';

-- ------------------------------------------------------------------ where the other tables lie

-- An attempt is numbered by its time, and has members in many buckets.
ALTER TABLE attempts ALTER COLUMN attempt_id DROP IDENTITY;
COMMENT ON TABLE attempts IS 'local: each has members in many buckets';
COMMENT ON TABLE policies IS 'reference: few';
COMMENT ON TABLE policy_versions IS 'reference: few, and joined with every notice';
COMMENT ON TABLE properties IS 'reference: few, and joined with every account';
COMMENT ON TABLE releases IS 'reference: few, and joined with every notice';
COMMENT ON TABLE renderings IS 'reference: few, and joined with every notice';
COMMENT ON TABLE bus_messages IS 'local: the embedded bus is for one server';
COMMENT ON TABLE bus_partitions IS 'local: the embedded bus is for one server';
COMMENT ON TABLE clusters IS 'local: where this database lives';
COMMENT ON TABLE consumer_offsets IS 'local: moved with the facts of a batch, whatever their buckets';
COMMENT ON TABLE imports IS 'local: moved with the facts of a file, whatever their buckets';
COMMENT ON TABLE migrations IS 'local: applied in one place';
COMMENT ON TABLE paces IS 'local: shared by all dispatchers';

-- ------------------------------------------------------------------ what stays as it was written

CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER account_sets_stay BEFORE DELETE OR TRUNCATE ON account_sets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER notices_stay BEFORE DELETE OR TRUNCATE ON notices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER early_notices_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON early_notices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER asks_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON asks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER holdings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON holdings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER standings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON standings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER told_sets_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON told_sets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER notice_salt_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON notice_salt
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER consents_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER account_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER unsubscribes_stay BEFORE DELETE OR TRUNCATE ON unsubscribes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ------------------------------------------------------------------ views

-- Whether and how an account can be mailed. A row lock on this view locks the account and its sets. A
-- person can decline optional mail in the account (`stated_contact`) or with us (`unsubscribed_at`):
-- `contact` is the stricter of the two. `sets_key` is the account's key too: a range of keys must be
-- given for both, because PostgreSQL does not conclude from one to the other.
CREATE VIEW account_reach AS
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
    sets.account_key AS sets_key
FROM accounts JOIN account_sets AS sets
  ON sets.bucket = accounts.bucket AND sets.account_key = accounts.account_key;

-- The last notice of each account and version, without reminders. Filter by bucket, account and
-- version, in a LATERAL subquery with OFFSET 0 or in an expression: then one index lookup finds the
-- row. Any other join computes the view for all accounts.
CREATE VIEW last_notices AS
SELECT DISTINCT ON (bucket, account_key, version_id)
    bucket, account_key, version_id, notice_id, sequence, kind, state, suppression, ask_id,
    undelivered, dead, address_hash
FROM notices
WHERE kind <> 'reminder'
ORDER BY bucket, account_key, version_id, sequence DESC;

-- The pairs of data category and version that accounts hold, with the time of the first collection
-- since an erasure and the day of the last. A deleted account holds nothing.
CREATE VIEW first_collections AS
SELECT
    collections.bucket, collections.account_key, data_category, collected_under,
    min(collected_at) AS first_collected_at,
    (max(collected_at) AT TIME ZONE 'UTC')::date AS last_collected_on,
    min(source) AS source
FROM collections JOIN accounts
  ON accounts.bucket = collections.bucket AND accounts.account_key = collections.account_key
WHERE status <> 'deleted'
GROUP BY collections.bucket, collections.account_key, data_category, collected_under;

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
    -- An unsent information notice of an earlier version moves to this one.
    coalesce((
        SELECT kind = 'information' AND state IN ('planned', 'due') FROM notices AS earlier
        WHERE earlier.bucket = reach.bucket AND earlier.account_key = reach.account_key
          AND earlier.version_id < latest.version_id AND kind <> 'reminder'
        ORDER BY version_id DESC, sequence DESC LIMIT 1
    ), false) AS passes_on,
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

-- ------------------------------------------------------------------ old tables are dropped

DROP TABLE before_mail_events, before_consent_evidence, before_unsubscribes, before_consents,
    before_notices, before_account_history, before_collections, before_collection_erasures,
    before_bounced_addresses, before_accounts, before_holdings, before_standings, before_asks,
    before_changes, before_followers, before_notice_counts, before_relay_sweeps,
    before_relay_full_sweeps, before_relay_intents, before_relayed_notices, before_relayed_consents,
    before_relayed_permissions, before_relayed_unsubscribes;
DROP FUNCTION count_added_notices(), count_changed_notices();

ANALYZE accounts, account_sets, account_history, collections, notices, early_notices, mail_events,
    consents, changes, relayed_notices, relayed_consents, relayed_permissions;
