-- What account events said besides the state that the history keeps, of accounts about which several
-- events say different things within some days: which of them counts last may change once a copy is
-- read that came in earlier. RULES 27. Nothing of before a deletion, nothing of minors.
CREATE TABLE account_statements (
    bucket      smallint NOT NULL,
    account_key bigint NOT NULL,
    stated_at   timestamptz NOT NULL,
    counts_from timestamptz NOT NULL,
    status      text NOT NULL CHECK (status IN ('active', 'deactivated')),
    contact     text NOT NULL,
    email       text,
    name        text,
    locale      text,
    time_zone   text,
    CHECK (counts_from <= stated_at)
);
CREATE INDEX account_statements_account ON account_statements (bucket, account_key);
COMMENT ON TABLE account_statements IS 'distributed: in the account''s bucket';

-- It was that of an account's first event, not of its latest.
UPDATE accounts SET stated_at = NULL WHERE stated_at IS NOT NULL;
UPDATE accounts SET stated_at = said.stated_at
FROM (
    SELECT bucket, account_key, since, min(stated_at) AS stated_at FROM account_history
    WHERE stated_at IS NOT NULL GROUP BY bucket, account_key, since
) AS said
WHERE accounts.bucket = said.bucket AND accounts.account_key = said.account_key
  AND accounts.updated_at = said.since;
