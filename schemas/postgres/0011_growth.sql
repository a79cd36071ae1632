-- What an idle service does, and what an operator types, takes as long with millions of accounts as
-- with few.

-- Names are sorted by code point, also in the index on them, so that lists come in its order. A view
-- keeps the type of a column as it is, so views of these columns are created again.
DO $$
DECLARE
    reach text := pg_get_viewdef('account_reach');
    known text := pg_get_viewdef('situations');
BEGIN
    DROP VIEW situations, account_reach;
    ALTER TABLE properties ALTER COLUMN property TYPE text COLLATE "C";
    ALTER TABLE accounts
        ALTER COLUMN property TYPE text COLLATE "C",
        ALTER COLUMN account TYPE text COLLATE "C";
    EXECUTE 'CREATE VIEW account_reach AS ' || reach;
    EXECUTE 'CREATE VIEW situations AS ' || known;
END
$$;

CREATE INDEX accounts_of_minors ON accounts (account_key) WHERE minor;
-- Publishing a version reads these.
CREATE INDEX consents_without_recipient ON consents (account_key)
    WHERE answer = 'allow' AND recipient = '*';

-- The number of a mailed question's last reminder, 0 before the first: a question that a reminder
-- was planned for is not looked at again until the next one's time.
ALTER TABLE notices ADD COLUMN reminded smallint NOT NULL DEFAULT 0;
UPDATE notices SET reminded = reminders.last
FROM (SELECT about, max(occasion) AS last FROM notices WHERE about IS NOT NULL GROUP BY about)
     AS reminders
WHERE notices.notice_id = reminders.about;
DROP INDEX notices_open;
CREATE INDEX notices_open ON notices (version_id, reminded, accepted_at)
    WHERE kind = 'choice' AND settled IS NULL AND accepted_at IS NOT NULL
      AND NOT undelivered AND NOT dead;

-- Mail that a provider wants later is apart from mail that can be sent now.
DROP INDEX notices_due;
CREATE INDEX notices_due ON notices (version_id, ask_id)
    WHERE state = 'due' AND not_before IS NULL;
CREATE INDEX notices_deferred ON notices (version_id, not_before)
    WHERE state = 'due' AND not_before IS NOT NULL;

-- Old attempts are told by their numbers: see `settle_unknown`.
CREATE INDEX attempts_started ON attempts (started_at);
CREATE INDEX notices_hashes_of_unaccepted ON notices (attempt_id)
    WHERE dead AND address_hash IS NOT NULL AND accepted_at IS NULL;

-- How many notices there are in each state: the sums of these rows. Every statement that changes
-- notices appends what it changed, so that writers never wait for one another; the scheduler merges
-- the rows. A trigger does it, because only a trigger sees the old row as it is at the update:
-- RETURNING shows it from PostgreSQL 18 on, and a join with the table shows it as it was when the
-- statement began.
CREATE TABLE notice_counts (
    version_id  integer NOT NULL,
    kind        text NOT NULL,
    state       text NOT NULL,
    suppression text,
    notices     bigint NOT NULL,
    merged      boolean NOT NULL DEFAULT false
);
CREATE INDEX notice_counts_to_merge ON notice_counts (merged) WHERE NOT merged;

CREATE FUNCTION count_added_notices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notice_counts (version_id, kind, state, suppression, notices)
    SELECT version_id, kind, state, suppression, count(*)
    FROM added GROUP BY version_id, kind, state, suppression;
    RETURN NULL;
END
$$;
CREATE FUNCTION count_changed_notices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notice_counts (version_id, kind, state, suppression, notices)
    SELECT version_id, kind, state, suppression, sum(change)
    FROM (SELECT version_id, kind, state, suppression, 1 AS change FROM after_change
          UNION ALL
          SELECT version_id, kind, state, suppression, -1 FROM before_change) AS changes
    GROUP BY version_id, kind, state, suppression
    HAVING sum(change) <> 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER notices_are_counted AFTER INSERT ON notices
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added_notices();
CREATE TRIGGER notices_are_counted_again AFTER UPDATE ON notices
    REFERENCING OLD TABLE AS before_change NEW TABLE AS after_change
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_notices();
CREATE TRIGGER notices_stay BEFORE DELETE OR TRUNCATE ON notices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

INSERT INTO notice_counts
SELECT version_id, kind, state, suppression, count(*), true
FROM notices GROUP BY version_id, kind, state, suppression;
