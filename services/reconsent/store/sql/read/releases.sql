-- :name list
-- Read how each release is doing.
SELECT version_id, state, paused_at, cancelled_at FROM releases ORDER BY version_id;
