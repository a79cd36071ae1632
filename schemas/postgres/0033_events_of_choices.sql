-- A choice is identified within its account by its event, whose source and id may be personal: the
-- ledger keeps a keyed hash of the two. The hashes of choices of before take the secret to compute:
-- the program adds them before it does anything else, and takes source and id out. RULES 28.
ALTER TABLE consents
    DROP CONSTRAINT consents_bucket_account_key_source_event_id_item_key,
    ALTER source DROP NOT NULL,
    ALTER event_id DROP NOT NULL,
    ADD COLUMN event_hash bytea,
    ADD UNIQUE (bucket, account_key, event_hash, item),
    ADD CHECK ((event_hash IS NULL) = (source IS NOT NULL)),
    ADD CHECK ((event_hash IS NULL) = (event_id IS NOT NULL));
CREATE INDEX consents_without_hash ON consents (bucket, account_key) WHERE event_hash IS NULL;

DROP TRIGGER consents_append_only ON consents;
CREATE TRIGGER consents_append_only BEFORE DELETE OR TRUNCATE OR UPDATE OF
    bucket, account_key, entry, answer, data_category, collected_under, data_use, recipient,
    policy_version, channel, notice_id, text_hash, decided_at, stated_at, recorded_at, item
    ON consents FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER consents_are_hashed_once BEFORE UPDATE ON consents
    FOR EACH ROW WHEN (OLD.event_hash IS NOT NULL OR NEW.event_hash IS NULL)
    EXECUTE FUNCTION refuse_change();

-- Of whom a statement ahead of its time was, so that a deletion takes its source, too.
ALTER TABLE early_statements
    ALTER source DROP NOT NULL,
    ADD COLUMN property text,
    ADD COLUMN account text;
UPDATE early_statements SET source = NULL;
CREATE INDEX early_statements_account ON early_statements (property, account)
    WHERE source IS NOT NULL;
