-- :name last_seen
-- Read in which cluster the database was last seen, and compare it with the present one.
SELECT era,
       (clusters.system_identifier, clusters.timeline, clusters.relation)
           = (here.system_identifier, here.timeline, here.relation) AS same
FROM clusters, this_cluster() AS here
ORDER BY era DESC LIMIT 1;

-- :name record
-- Record the present cluster. An era is numbered by the second in which it begins, counted from
-- 2000: the same backup may be restored twice, and each restore must have a number of its own. Read
-- together with the table, the cluster is the one that the table is in, whichever server is asked.
INSERT INTO clusters (era, system_identifier, timeline, relation)
SELECT greatest(%(after)s + 1, extract(epoch FROM clock_timestamp() - timestamptz '2000-01-01Z')::integer),
       here.system_identifier, here.timeline, here.relation
FROM this_cluster() AS here, (SELECT count(*) FROM clusters) AS recorded RETURNING era;

-- :name reread_changes
-- Whatever is in the log was committed, in whichever cluster.
UPDATE changes SET changed = '0' WHERE changed <> '0';

-- :name follow_from_the_beginning
-- Let the planner read the whole log.
UPDATE followers SET changed = '0', account_key = 0 WHERE follower = 'planner';

-- :name forget_relays
-- Let the relays begin again, each with all accounts.
DELETE FROM followers WHERE follower <> 'planner';

-- :name held_since
-- Tell since when sending is held.
SELECT recorded_at FROM clusters WHERE sending_since IS NULL ORDER BY era LIMIT 1;

-- :name resume_sending
-- Let sending go on.
UPDATE clusters SET sending_since = statement_timestamp() WHERE sending_since IS NULL;
