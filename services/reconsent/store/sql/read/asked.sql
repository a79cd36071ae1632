-- :name page_shown
-- Read what a page of a property asked, and in the words of which version.
SELECT asks.members, version_id FROM renderings JOIN asks USING (ask_id)
WHERE rendering = %(rendering)s AND property = %(property)s AND template = 'page';

-- :name find
-- Read one notice with its account, for the page that its link opens.
SELECT notices.notice_id, notices.kind, notices.version_id, notices.ask_id, notices.accepted_at,
       notices.dead, accounts.property, accounts.account, accounts.status, accounts.minor,
       accounts.locale, accounts.holdings_id, accounts.standing_id, accounts.account_key
FROM notices JOIN accounts USING (account_key)
WHERE notice_id = %(notice_id)s;

-- :name leaving
-- Read which property an optional mail is about, and its reader's locale; nothing of dead links.
SELECT property, locale FROM notices JOIN accounts USING (account_key)
WHERE notice_id = %(notice_id)s AND kind = 'information' AND NOT dead
  AND status <> 'deleted' AND NOT minor;
