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
                    WHEN complained OR marks.bucket IS NOT NULL THEN 'bounced'
                    ELSE 'ok' END AS address,
-- :include passes_on
               AS passes_on
        FROM account_reach AS reach
        LEFT JOIN mailbox_marks AS marks
               ON marks.bucket = bucket_of_hash(reach.address_hash)
              AND marks.address_hash = reach.address_hash
              AND mark = 'bounced' AND lifted_at IS NULL
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
