-- The source and id of a choice identify it within its account: systems number their choices account
-- by account, and a choice of one person must never be taken for that of another.
ALTER TABLE consents
    DROP CONSTRAINT consents_source_event_id_item_key,
    ADD UNIQUE (account_key, source, event_id, item);
