-- :name count_states
-- Count notices of each version by kind, state and reason, without reading the notices.
SELECT version_id, kind, state, suppression, sum(notices)::bigint AS notices
FROM notice_counts GROUP BY version_id, kind, state, suppression
HAVING sum(notices) <> 0
ORDER BY version_id, kind, state, suppression;

-- :name services
-- Count the processes that run each service, by application_name.
SELECT service, count(DISTINCT application_name) AS processes
FROM pg_stat_activity
CROSS JOIN LATERAL unnest(string_to_array(split_part(application_name, ' ', 2), ',')) AS service
WHERE datname = current_database() AND application_name LIKE 'reconsent %%'
  AND service <> 'command'
GROUP BY service ORDER BY service;

-- :name not_ours
-- Count the reports that were not about our notices.
SELECT coalesce(sum(reports), 0)::bigint FROM reports_not_ours;

-- :name early
-- Count the statements of each topic and source that came in ahead of their time by more than a while,
-- of the sources with most of them.
SELECT topic, coalesce(source, '(a deleted account)') AS source, count(*) AS statements, max(stated_at - counts_from) AS ahead
FROM early_statements WHERE stated_at - counts_from > %(longer_than)s
GROUP BY 1, 2 ORDER BY statements DESC, 1, 2 LIMIT 50;
