-- The role that multica-rollup needs and no more. The owner of Multica's tables runs this once in
-- Multica's own database, for example:
--
--     sudo -u postgres psql -d multica -f role.sql
--
-- The role has the name of the package's system user, so that peer authentication over the unix
-- socket works without a password. For connections over TCP give it one afterwards:
--
--     \password multica-rollup

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'multica-rollup') THEN
        CREATE ROLE "multica-rollup" LOGIN;
    END IF;
END
$$;

-- To see when other sessions' transactions began: without it, usage that such a transaction commits
-- late is found only by `multica-rollup verify`.
GRANT pg_read_all_stats TO "multica-rollup";

-- The raw usage and what its buckets are made of: read only.
GRANT SELECT ON task_usage, agent_task_queue, agent, issue, schema_migrations TO "multica-rollup";

-- The derived table, the queue of invalidations and the watermark.
GRANT SELECT, INSERT, UPDATE, DELETE ON task_usage_hourly, task_usage_hourly_dirty TO "multica-rollup";
GRANT SELECT, UPDATE ON task_usage_hourly_rollup_state TO "multica-rollup";

-- Releases from v0.3.17 schedule the rollup themselves and keep record of it here.
DO $$
BEGIN
    IF to_regclass('sys_cron_executions') IS NOT NULL THEN
        GRANT SELECT ON sys_cron_executions TO "multica-rollup";
    END IF;
END
$$;
