-- What sending needs to know: reminders, when to try again, what was tried, pauses and paces.

ALTER TABLE notices
    -- The notice that a reminder reminds of, and which of its version's reminders it is.
    ADD COLUMN about      uuid,
    ADD COLUMN occasion   smallint,
    -- The provider wants it no earlier.
    ADD COLUMN not_before timestamptz,
    -- What the provider said last, in its words.
    ADD COLUMN reason     text,
    -- The attempts before the present one, with what became of it: [[attempt, outcome], …].
    ADD COLUMN tried      jsonb,
    ADD CHECK ((kind = 'reminder') = (about IS NOT NULL)),
    ADD CHECK ((about IS NULL) = (occasion IS NULL)),
    ADD CHECK (tried IS NULL OR attempt_id IS NOT NULL);
-- A release looks up none of what its notices do not have yet; what they come to have stays.
ALTER TABLE notices
    DROP CONSTRAINT notices_attempt_id_fkey, DROP CONSTRAINT notices_rendering_fkey;
CREATE TRIGGER attempts_stay BEFORE DELETE OR TRUNCATE ON attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER renderings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON renderings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE UNIQUE INDEX notices_reminders ON notices (about, occasion) WHERE about IS NOT NULL;

CREATE INDEX notices_planned ON notices (version_id) WHERE state = 'planned';

-- Whether a release is held back is apart from how far it was planned.
ALTER TABLE releases DROP CONSTRAINT releases_state_check;
ALTER TABLE releases
    ADD CHECK (state IN ('planning', 'sending', 'done')),
    ADD COLUMN paused_at    timestamptz,
    ADD COLUMN cancelled_at timestamptz;

-- How many mails a provider may still be handed now, shared by all dispatchers.
CREATE TABLE paces (
    provider text PRIMARY KEY,
    left_now double precision NOT NULL,
    as_of    timestamptz NOT NULL
) WITH (fillfactor = 50);
