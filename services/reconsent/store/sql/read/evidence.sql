-- :name sent
-- Read the exact content of the last mail of some notices.
SELECT notice_id::text AS notice, reason, renderings.rendering, locale, template, content
FROM notices LEFT JOIN renderings USING (rendering)
WHERE notice_id = ANY(%(notice_ids)s::uuid[]);

-- :name attempts
-- Read the attempts to send some notices, each with its outcome. The last attempt's outcome is the
-- notice's state, also if the attempt was abandoned before its outcome was reported.
SELECT notice_id::text AS notice, provider, started_at, ended_at, tries.outcome
FROM (
    SELECT notice_id, (tried.value ->> 0)::bigint AS attempt_id, tried.value ->> 1 AS outcome
    FROM notices CROSS JOIN LATERAL jsonb_array_elements(tried) AS tried
    WHERE notice_id = ANY(%(notice_ids)s::uuid[])
      AND ((tried.value ->> 0)::bigint <> attempt_id
           OR state IN ('planned', 'due', 'suppressed', 'superseded'))
    UNION ALL
    SELECT notice_id, attempt_id, CASE WHEN state <> 'attempting' THEN state END
    FROM notices
    WHERE notice_id = ANY(%(notice_ids)s::uuid[])
      AND state NOT IN ('planned', 'due', 'suppressed', 'superseded')
) AS tries
JOIN attempts USING (attempt_id)
ORDER BY notice_id, attempt_id;

-- :name events
-- Read the reports about some notices.
SELECT notice_id::text AS notice, event, occurred_at, reason, provider_id
FROM mail_events WHERE notice_id = ANY(%(notice_ids)s::uuid[])
ORDER BY notice_id, occurred_at, event;
