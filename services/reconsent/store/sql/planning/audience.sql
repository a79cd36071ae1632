-- :name by_sets
-- Count the accounts as `audience` does, where they are most of all that there are, and most of them have
-- no restriction: reach 0. All are counted by their sets, as if they had none, and only the others are
-- joined with their sets: those of other properties, those with a restriction, and those whose mailbox
-- has a mark.
WITH marks AS MATERIALIZED (
    SELECT DISTINCT bucket, address_hash FROM mailbox_marks WHERE lifted_at IS NULL
), restricted AS MATERIALIZED (
    SELECT holdings_id, standing_id, min(number) AS number, counted, count(*) AS accounts
    FROM (
        SELECT holdings_id, standing_id, status, contact, minor, address, counted,
-- :include reach_number
               AS number
        FROM (
            SELECT holdings_id, standing_id, status, minor,
                   property = ANY(%(properties)s) AND status <> 'deleted' AS counted,
                   CASE WHEN contact = 'all' AND unsubscribed THEN 'service' ELSE contact END AS contact,
                   CASE WHEN email IS NULL THEN 'none'
                        WHEN marks.bucket IS NOT NULL THEN 'bounced'
                        ELSE 'ok' END AS address
            FROM accounts
            JOIN account_sets AS sets
              ON sets.bucket = accounts.bucket AND sets.account_key = accounts.account_key
            LEFT JOIN marks ON marks.bucket = bucket_of_hash(accounts.address_hash)
                           AND marks.address_hash = accounts.address_hash
            WHERE
-- :include restricted
            UNION ALL
            SELECT holdings_id, standing_id, status, minor, true, contact, 'bounced'
            FROM marks JOIN accounts ON accounts.address_hash = marks.address_hash
            JOIN account_sets AS sets
              ON sets.bucket = accounts.bucket AND sets.account_key = accounts.account_key
            WHERE NOT (
-- :include restricted
            )
        ) AS reach
    ) AS reach
    GROUP BY holdings_id, standing_id, status = 'active', counted, contact = 'all',
             contact = 'none', minor, address = 'ok', address = 'none'
)
SELECT holdings_id, standing_id, number, false AS passes_on, sum(accounts)::bigint AS accounts
FROM (
    SELECT holdings_id, standing_id, 0 AS number, count(*) AS accounts
    FROM account_sets GROUP BY holdings_id, standing_id
    UNION ALL
    SELECT holdings_id, standing_id, 0, -accounts FROM restricted
    UNION ALL
    SELECT holdings_id, standing_id, number, accounts FROM restricted WHERE counted
) AS counts
GROUP BY holdings_id, standing_id, number
HAVING sum(accounts) > 0;

-- :name audience
-- Count the accounts of some properties that are alike, for the preview of a version. The address is what
-- `account_reach` says it is, but its look-up of marks, account by account, would be done by one process
-- alone. Conditions are grouped by, because PostgreSQL expects two values of each: of many groups it
-- would not count in several processes either.
SELECT holdings_id, standing_id, min(number) AS number, passes_on, count(*) AS accounts
FROM (
    SELECT holdings_id, standing_id, status, contact, minor, address, passes_on,
-- :include reach_number
           AS number
    FROM (
        SELECT holdings_id, standing_id, status, contact, minor,
               CASE WHEN email IS NULL THEN 'none'
                    WHEN marks.bucket IS NOT NULL THEN 'bounced'
                    ELSE 'ok' END AS address,
-- :include passes_on
               AS passes_on
        FROM account_reach AS reach
        LEFT JOIN (
            SELECT DISTINCT bucket, address_hash FROM mailbox_marks WHERE lifted_at IS NULL
        ) AS marks ON marks.bucket = bucket_of_hash(reach.address_hash)
                  AND marks.address_hash = reach.address_hash
        WHERE property = ANY(%(properties)s) AND status <> 'deleted'
    ) AS reach
) AS reach
GROUP BY holdings_id, standing_id, status = 'active', contact = 'all', contact = 'none', minor,
         address = 'ok', address = 'none', passes_on;

-- :name readers
-- Count them by property and locale too, which decide the words of a mail.
SELECT holdings_id, standing_id, number, passes_on, property_name, locale, count(*) AS accounts
FROM (
    SELECT holdings_id, standing_id, passes_on, property_name, locale,
-- :include reach_number
           AS number
    FROM (
        SELECT holdings_id, standing_id, status, contact, minor, address, property AS property_name, locale,
-- :include passes_on
               AS passes_on
        FROM account_reach AS reach
        WHERE property = ANY(%(properties)s) AND status <> 'deleted'
    ) AS reach
) AS reach
GROUP BY holdings_id, standing_id, number, passes_on, property_name, locale;
