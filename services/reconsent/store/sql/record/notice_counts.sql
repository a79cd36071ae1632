-- :name merge
-- Merge the appended counts of notices, once there are some. Rows of transactions that are still
-- running stay as they are, and are merged later.
WITH taken AS (
    DELETE FROM notice_counts
    WHERE %(at_least)s <= (
        SELECT count(*) FROM (
            SELECT 1 FROM notice_counts WHERE NOT merged LIMIT %(at_least)s) AS appended)
    RETURNING bucket, version_id, kind, state, suppression, notices
)
INSERT INTO notice_counts (bucket, version_id, kind, state, suppression, notices, merged)
SELECT bucket, version_id, kind, state, suppression, sum(notices), true
FROM taken GROUP BY bucket, version_id, kind, state, suppression
HAVING sum(notices) <> 0;
