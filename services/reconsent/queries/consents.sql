-- :name add
-- Add what was said to the ledger; the same event again is the same choice.
INSERT INTO consents (account_key, answer, data_category, collected_under, data_use, recipient,
                      policy_version, channel, notice_id, text_hash, decided_at, source, event_id,
                      item)
SELECT * FROM unnest(
    %(account_key)s::bigint[], %(answer)s::text[], %(data_category)s::text[],
    %(collected_under)s::text[], %(data_use)s::text[], %(recipient)s::text[],
    %(policy_version)s::text[], %(channel)s::text[], %(notice_id)s::uuid[], %(text_hash)s::text[],
    %(decided_at)s::timestamptz[], %(source)s::text[], %(event_id)s::text[], %(item)s::smallint[])
ON CONFLICT (source, event_id, item) DO NOTHING
RETURNING consent_id, account_key, source, event_id, item;

-- :name add_evidence
-- Keep evidence beside the ledger, unless its account was deleted since.
INSERT INTO consent_evidence
SELECT consent_id, evidence
FROM unnest(%(consent_id)s::bigint[], %(evidence)s::jsonb[]) AS told (consent_id, evidence)
JOIN consents USING (consent_id) JOIN accounts USING (account_key)
WHERE deleted_at IS NULL OR decided_at > deleted_at;

-- :name ledgers
-- Read everything that some accounts said, oldest entry first.
SELECT account_key, answer, data_category, collected_under, data_use, recipient, decided_at,
       consent_id
FROM consents WHERE account_key = ANY(%(keys)s)
ORDER BY account_key, consent_id;

-- :name owners
-- Read whose standing is to be found: accounts that said something.
SELECT account_key, property, deleted_at
FROM accounts
WHERE account_key = ANY(%(keys)s)
  AND EXISTS (SELECT FROM consents WHERE consents.account_key = accounts.account_key);

-- :name make_standings
-- Make the sets of decisions that now stand, where nobody has had the same yet.
INSERT INTO standings (members, digest)
SELECT DISTINCT ON (made.digest) told.members, made.digest
FROM unnest(%(members)s::jsonb[]) AS told (members)
CROSS JOIN LATERAL sha256(convert_to(told.members::text, 'UTF8')) AS made (digest)
WHERE NOT EXISTS (SELECT FROM standings WHERE standings.digest = made.digest)
ORDER BY made.digest
ON CONFLICT DO NOTHING;

-- :name point_to_standings
-- Point accounts to the decisions that now stand for them.
UPDATE accounts SET standing_id = standings.standing_id, changed = pg_current_xact_id()
FROM unnest(%(keys)s::bigint[], %(members)s::jsonb[]) AS found (account_key, members)
JOIN standings ON standings.digest = sha256(convert_to(found.members::text, 'UTF8'))
WHERE accounts.account_key = found.account_key
  AND accounts.standing_id <> standings.standing_id;

-- :name ledger
-- Read how each ledger entry of some accounts came about, in the ledger's order.
SELECT account_key, consent_id, policy_version, channel, notice_id, text_hash, recorded_at
FROM consents WHERE account_key = ANY(%(keys)s) ORDER BY account_key, consent_id;
