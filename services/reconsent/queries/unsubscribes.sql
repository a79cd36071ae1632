-- :name find
-- Read which property an optional mail is about, and its reader's locale; nothing of dead links.
SELECT property, locale FROM notices JOIN accounts USING (account_key)
WHERE notice_id = %(notice_id)s AND kind = 'information' AND NOT dead
  AND status <> 'deleted' AND NOT minor;

-- :name accounts
-- Find the accounts that some notices were sent to.
SELECT DISTINCT account_key FROM notices WHERE notice_id = ANY(%(notice_id)s);

-- :name add
-- Keep who left, once for each mail and reason: of several times the first.
INSERT INTO unsubscribes (account_key, notice_id, reason, channel, occurred_at)
SELECT DISTINCT ON (notice_id, told.reason)
       account_key, notice_id, told.reason, told.channel, told.occurred_at
FROM unnest(%(notice_id)s::uuid[], %(reason)s::text[], %(channel)s::text[],
            %(occurred_at)s::timestamptz[]) AS told (notice_id, reason, channel, occurred_at)
JOIN notices USING (notice_id)
ORDER BY notice_id, told.reason, told.occurred_at, told.channel
ON CONFLICT (notice_id, reason) DO UPDATE SET
    channel = excluded.channel, occurred_at = excluded.occurred_at, changed = pg_current_xact_id()
WHERE (excluded.occurred_at, excluded.channel) < (unsubscribes.occurred_at, unsubscribes.channel)
RETURNING account_key;

-- :name stop
-- Stop optional mail to accounts whose owners unsubscribed.
UPDATE accounts SET unsubscribed_at = said.latest, changed = pg_current_xact_id()
FROM (
    SELECT account_key, max(occurred_at) AS latest FROM unsubscribes
    WHERE account_key = ANY(%(keys)s) AND reason = 'unsubscribed' GROUP BY account_key
) AS said
WHERE accounts.account_key = said.account_key
  AND accounts.unsubscribed_at IS DISTINCT FROM said.latest;

-- :name of_accounts
-- Read how the owners of some accounts left.
SELECT unsubscribe_id, property, account, reason, channel, occurred_at
FROM unsubscribes JOIN accounts USING (account_key)
WHERE account_key = ANY(%(keys)s) ORDER BY unsubscribe_id;
