-- :name sent
-- Read the exact content of the last mail of some notices.
SELECT notice_id::text AS notice, reason, renderings.rendering, locale, template, content
FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
JOIN notices USING (bucket, account_key, notice_id)
LEFT JOIN renderings USING (rendering);

-- :name attempts
-- Read the attempts to send some notices, each with its outcome. The last attempt's outcome is the
-- notice's state, also if the attempt was abandoned before its outcome was reported.
WITH mailed AS (
    SELECT notice_id, attempt_id AS last, state, tried
    FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
    JOIN notices USING (bucket, account_key, notice_id)
), tries AS (
    SELECT notice_id, (earlier.value ->> 0)::bigint AS attempt_id, earlier.value ->> 1 AS outcome
    FROM mailed CROSS JOIN LATERAL jsonb_array_elements(tried) AS earlier
    WHERE (earlier.value ->> 0)::bigint <> last
       OR state IN ('planned', 'due', 'suppressed', 'superseded')
    UNION ALL
    SELECT notice_id, last, CASE WHEN state <> 'attempting' THEN state END
    FROM mailed WHERE state NOT IN ('planned', 'due', 'suppressed', 'superseded')
)
SELECT notice_id::text AS notice, provider, started_at, ended_at, tries.outcome
FROM tries JOIN attempts USING (attempt_id)
ORDER BY notice_id, attempt_id;

-- :name events
-- Read the reports about some notices.
SELECT notice_id::text AS notice, event, occurred_at, reason, provider_id
FROM mail_events
JOIN listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
     USING (bucket, account_key, notice_id)
ORDER BY notice_id, occurred_at, event;
