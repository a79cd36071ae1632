-- A planned repeat of a question is not sent if what it repeats has arrived in the meantime. RULES 12 to 15.

-- Such a repeat is superseded, and `arrived`: the notice that it was to repeat is the last one again.
CREATE OR REPLACE VIEW last_notices AS
SELECT DISTINCT ON (bucket, account_key, version_id)
    bucket, account_key, version_id, notice_id, sequence, kind, state, suppression, ask_id,
    undelivered, dead, address_hash, again
FROM notices
WHERE kind <> 'reminder' AND (state <> 'superseded' OR again IS DISTINCT FROM 'arrived')
ORDER BY bucket, account_key, version_id, sequence DESC;
