-- :name other_data
-- Find one policy or property that does not belong to the demo.
SELECT policy FROM policies WHERE policy <> ALL(%(policies)s)
UNION ALL
SELECT property FROM accounts WHERE property <> ALL(%(properties)s)
LIMIT 1;

-- :name due
-- Count the notices of the latest versions that are due.
SELECT count(*) FROM notices WHERE state = 'due' AND version_id = ANY(%(latest)s);

-- :name accounts
-- Count the accounts of each policy, and how many of them are deleted.
SELECT policy, count(*), count(*) FILTER (WHERE status = 'deleted')
FROM accounts JOIN properties USING (property)
GROUP BY policy;

-- :name mailed
-- Read the mailed choice notices; whether their accounts answered on the page, or not at all.
SELECT notice_id::text, property, account, version_id,
       EXISTS (SELECT FROM consents
               WHERE consents.bucket = notices.bucket
                 AND consents.account_key = notices.account_key AND channel = 'page'),
       standing_id = 0
FROM notices JOIN accounts USING (bucket, account_key)
JOIN account_sets USING (bucket, account_key)
WHERE kind = 'choice' AND accepted_at IS NOT NULL AND NOT dead
ORDER BY version_id, account_key;

-- :name ledger
-- Count the entries of the ledger by policy, answer and channel.
SELECT policy, answer, channel, count(*)
FROM consents JOIN accounts USING (bucket, account_key) JOIN properties USING (property)
GROUP BY policy, answer, channel;

-- :name speakers
-- Count the accounts of each policy that are in the ledger.
SELECT policy, count(DISTINCT account_key)
FROM consents JOIN accounts USING (bucket, account_key) JOIN properties USING (property)
GROUP BY policy;

-- :name holder
-- Find an account that holds some data and has decided nothing.
SELECT property, account FROM accounts JOIN account_sets USING (bucket, account_key)
WHERE property = ANY(%(properties)s) AND status = 'active' AND contact = %(contact)s
  AND NOT minor AND standing_id = 0
  AND EXISTS (
      SELECT FROM held_collections AS held
      WHERE held.bucket = accounts.bucket AND held.account_key = accounts.account_key
        AND data_category = %(data_category)s AND collected_under = %(collected_under)s)
ORDER BY account_key LIMIT 1;

-- :name agreed
-- Find an account that said yes to a use on the page, and never no to anything.
SELECT property, account, data_category, collected_under
FROM consents JOIN accounts USING (bucket, account_key)
WHERE property = ANY(%(properties)s) AND status = 'active' AND contact <> 'none'
  AND channel = 'page' AND answer = 'allow' AND data_use = %(data_use)s
  AND data_category = %(data_category)s AND collected_under = %(collected_under)s
  AND NOT EXISTS (
      SELECT FROM consents AS no
      WHERE no.bucket = consents.bucket AND no.account_key = consents.account_key
        AND no.answer = 'deny')
ORDER BY consents.recorded_at, account_key, entry LIMIT 1;
