-- Load: a workspace of new_workspace's is torn down as the app does it: triggers stand aside (from
-- 272), the rollup's lock keeps rollups out, and what is derived from the workspace goes with it.
-- The app gives up waiting for the lock after ten seconds.
SET LOCAL multica.workspace_teardown = 'on';
SET LOCAL lock_timeout = '10s';
SELECT pg_advisory_xact_lock(4246);
CREATE TEMPORARY TABLE teardown ON COMMIT DROP AS
    SELECT id FROM workspace WHERE name = 'load-workspace' ORDER BY created_at LIMIT 1;
DELETE FROM task_usage_hourly WHERE workspace_id IN (SELECT id FROM teardown);
DELETE FROM task_usage_hourly_dirty WHERE workspace_id IN (SELECT id FROM teardown);
DELETE FROM workspace WHERE id IN (SELECT id FROM teardown)
