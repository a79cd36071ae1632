-- :name add
-- Add choices to the ledger; a repeated event adds nothing.
WITH added AS (
    INSERT INTO consents (account_key, answer, data_category, collected_under, data_use, recipient,
                          policy_version, channel, notice_id, text_hash, decided_at, source, event_id,
                          item)
    SELECT * FROM unnest(
        %(account_key)s::bigint[], %(answer)s::text[], %(data_category)s::text[],
        %(collected_under)s::text[], %(data_use)s::text[], %(recipient)s::text[],
        %(policy_version)s::text[], %(channel)s::text[], %(notice_id)s::uuid[], %(text_hash)s::text[],
        %(decided_at)s::timestamptz[], %(source)s::text[], %(event_id)s::text[], %(item)s::smallint[])
    ON CONFLICT (account_key, source, event_id, item) DO NOTHING
    RETURNING consent_id, account_key, source, event_id, item
), logged AS (
    INSERT INTO changes (account_key, stream) SELECT account_key, 'consents' FROM added
)
SELECT consent_id, account_key, source, event_id, item FROM added ORDER BY consent_id;

-- :name add_evidence
-- Store evidence beside the ledger, unless its account was deleted since.
INSERT INTO consent_evidence
SELECT consent_id, evidence
FROM unnest(%(consent_id)s::bigint[], %(evidence)s::jsonb[]) AS incoming (consent_id, evidence)
JOIN consents USING (consent_id) JOIN accounts USING (account_key)
WHERE deleted_at IS NULL OR decided_at > deleted_at;
