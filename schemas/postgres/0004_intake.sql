-- Facts come in by the million. What these point to (account, holdings, standing) comes from the
-- statement that writes them, and triggers see to it that none of it is ever deleted: foreign keys
-- looked each of it up again, which took a third of the time.
ALTER TABLE accounts DROP CONSTRAINT accounts_holdings_id_fkey;
ALTER TABLE accounts DROP CONSTRAINT accounts_standing_id_fkey;
ALTER TABLE account_history DROP CONSTRAINT account_history_account_key_fkey;
ALTER TABLE collections DROP CONSTRAINT collections_account_key_fkey;

-- How far an import of a file came, known by its content and moved with what is recorded of it, so
-- that an import that was interrupted is carried on. One that has ended is forgotten.
CREATE TABLE imports (
    topic     text NOT NULL,
    content   bytea NOT NULL,
    events    bigint NOT NULL DEFAULT 0,
    new       bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    refused   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, content)
);
