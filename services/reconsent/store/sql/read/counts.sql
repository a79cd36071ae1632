-- :name count_states
-- Count notices of each version by kind, state and reason.
SELECT version_id, kind, state, suppression, count(*) AS notices
FROM notices GROUP BY version_id, kind, state, suppression
ORDER BY version_id, kind, state, suppression;

-- :name services
-- Count the processes that run each service, by application_name.
SELECT service, count(DISTINCT application_name) AS processes
FROM pg_stat_activity
CROSS JOIN LATERAL unnest(string_to_array(split_part(application_name, ' ', 2), ',')) AS service
WHERE datname = current_database() AND application_name LIKE 'reconsent %%'
  AND service <> 'command'
GROUP BY service ORDER BY service;
