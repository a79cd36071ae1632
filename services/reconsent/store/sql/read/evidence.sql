-- :name sent
-- Read what was sent last as some notices, word by word.
SELECT notice_id::text AS notice, reason, renderings.rendering, locale, template, content
FROM notices LEFT JOIN renderings USING (rendering)
WHERE notice_id = ANY(%(notice_ids)s::uuid[]);

-- :name attempts
-- Read each attempt to send some notices, and what became of the notice in it. Of the last one the
-- state tells, once it does: also where it was given up before somebody told what became of it.
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
-- Read what was reported of some notices.
SELECT notice_id::text AS notice, event, occurred_at, reason, provider_id
FROM mail_events WHERE notice_id = ANY(%(notice_ids)s::uuid[])
ORDER BY notice_id, occurred_at, event;
