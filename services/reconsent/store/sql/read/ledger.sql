-- :name ledger
-- Read the origin of accounts' ledger entries, in the ledger's order.
SELECT account_key, consent_id, policy_version, channel, notice_id::text AS notice, text_hash, recorded_at
FROM consents WHERE account_key = ANY(%(keys)s) ORDER BY account_key, consent_id;

-- :name account
-- Find an account's key.
SELECT account_key FROM accounts WHERE property = %(property)s AND account = %(account)s;
