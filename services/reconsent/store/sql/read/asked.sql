-- :name shown_questions
-- Read what a page of a property asked, and the version whose words it used.
SELECT asks.members, version_id FROM renderings JOIN asks USING (ask_id)
WHERE rendering = %(rendering)s AND property = %(property)s AND template = 'page';

-- :name choice_notice
-- Read a choice notice with its account; no row if its link does not work.
SELECT notices.ask_id, notices.accepted_at, accounts.account_key, accounts.property,
       accounts.account, accounts.locale, accounts.time_zone, holdings_id, standing_id
FROM notices
JOIN accounts USING (bucket, account_key) JOIN account_sets USING (bucket, account_key)
WHERE notices.bucket = bucket_of(%(account_key)s::bigint)
  AND notices.account_key = %(account_key)s
  AND notice_id = %(notice_id)s AND kind = 'choice' AND NOT dead
  AND status <> 'deleted' AND NOT minor;

-- :name optional_mail
-- Read an optional mail's property and its reader's locale, and whether they left such mail and could
-- get it otherwise; no row if its link does not work.
SELECT account_key, accounts.property, accounts.locale,
       accounts.unsubscribed_at IS NOT NULL AS unsubscribed,
       accounts.unsubscribed_at IS NULL AND opted_in_at IS NOT NULL AS opted_in,
       reach.status = 'active' AND stated_contact = 'all' AND reach.address = 'ok' AS reachable
FROM notices JOIN accounts USING (bucket, account_key)
JOIN account_reach AS reach USING (bucket, account_key)
WHERE notices.bucket = bucket_of(%(account_key)s::bigint)
  AND notices.account_key = %(account_key)s
  AND notice_id = %(notice_id)s AND kind = 'information' AND NOT dead
  AND accounts.status <> 'deleted' AND NOT accounts.minor;

-- :name lock_account
-- Lock an account against any other change.
SELECT FROM accounts
WHERE bucket = bucket_of(%(account_key)s::bigint) AND account_key = %(account_key)s
FOR NO KEY UPDATE;
