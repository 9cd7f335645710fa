-- The role that multica-rollup needs and no more. Run this with psql in Multica's own database, once, and
-- again after an upgrade of Multica that added tables:
--
--     sudo -u postgres psql -d multica -f role.sql
--
-- Who may run it: a superuser; or the owner of Multica's tables, with CREATEROLE while the role does not
-- exist. It is one transaction, and ends with an error, having changed nothing, where something is in the way.
--
-- The role has the name of the package's system user, so that peer authentication over the unix
-- socket works without a password. For connections over TCP give it one afterwards:
--
--     \password multica-rollup
--
-- Another name: psql -v role=NAME -d multica -f role.sql

\set ON_ERROR_STOP on
\if :{?role}
\else
\set role multica-rollup
\endif

BEGIN;

-- Multica's tables are looked for where your search_path finds them, or in the one schema that has them.
-- From here on no name is looked up in a schema in which others may create objects.
SELECT pg_catalog.set_config('multica_rollup.usage', pg_catalog.to_regclass('task_usage')::pg_catalog.oid::pg_catalog.text, true) AS ignored,
       pg_catalog.set_config('multica_rollup.role', :'role', true) AS ignored_too \gset
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    wanted  CONSTANT text[] := ARRAY['task_usage', 'agent_task_queue', 'agent', 'issue', 'task_usage_hourly',
                                     'task_usage_hourly_dirty', 'task_usage_hourly_rollup_state'];
    grantee CONSTANT text := current_setting('multica_rollup.role');
    homes   text[];
    home    text;
    missing text;
    owners  text;
BEGIN
    SELECT array_agg(n.nspname::text ORDER BY n.nspname) INTO homes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'task_usage' AND c.relkind IN ('r', 'p')
      AND CASE WHEN current_setting('multica_rollup.usage') <> '' THEN c.oid = current_setting('multica_rollup.usage')::oid ELSE true END;
    IF homes IS NULL THEN
        RAISE EXCEPTION 'database % is not Multica''s: it has no table task_usage', current_database()
            USING HINT = 'name the database that DATABASE_URL of Multica names: psql -d NAME -f role.sql; psql -l lists what there is';
    ELSIF cardinality(homes) > 1 THEN
        RAISE EXCEPTION 'a table task_usage is in the schemas %', array_to_string(homes, ', ')
            USING HINT = format('say which is Multica''s: PGOPTIONS="-c search_path=%s" psql -d %s -f role.sql', homes[1], current_database());
    END IF;
    home := homes[1];

    SELECT string_agg(w.name, ', ' ORDER BY w.n) INTO missing
    FROM unnest(wanted) WITH ORDINALITY AS w (name, n)
    WHERE to_regclass(format('%I.%I', home, w.name)) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'schema % of database % lacks %', home, current_database(), missing
            USING HINT = 'these tables come with Multica v0.3.5: upgrade first; or name Multica''s own database: psql -d NAME -f role.sql';
    END IF;

    SELECT string_agg(DISTINCT quote_ident(pg_get_userbyid(c.relowner)), ', ') INTO owners
    FROM unnest(wanted) AS w (name)
    JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', home, w.name))
    WHERE NOT pg_has_role(c.relowner, 'USAGE');
    IF owners IS NOT NULL THEN
        RAISE EXCEPTION 'role % may not grant: Multica''s tables belong to %', quote_ident(current_user), owners
            USING HINT = format('run this as that owner or as a superuser: psql -U NAME -d %s -f role.sql', current_database());
    END IF;

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = grantee)
       AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN
        RAISE EXCEPTION 'role % does not exist, and role % may not create it', quote_ident(grantee), quote_ident(current_user)
            USING HINT = format('have a superuser type: create role %I login; then run this again', grantee);
    END IF;
    PERFORM set_config('multica_rollup.home', home, true);
END
$$;

SELECT current_setting('multica_rollup.home') AS home, current_database() AS database,
       NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS absent \gset
\if :absent
CREATE ROLE :"role" LOGIN;
\endif

-- Of agents, issues and tasks the columns by which usage belongs to a workspace, a project and a runtime, and
-- nothing of environments, prompts or results.
GRANT SELECT (id, workspace_id) ON :"home".agent TO :"role";
GRANT SELECT (id, project_id) ON :"home".issue TO :"role";
GRANT SELECT (id, agent_id, runtime_id, issue_id) ON :"home".agent_task_queue TO :"role";

-- The raw usage: all columns, so that those which a release adds are rolled up from the first hour on.
GRANT SELECT ON :"home".task_usage TO :"role";

-- The derived table, the queue of invalidations and the watermark.
GRANT SELECT, INSERT, UPDATE, DELETE ON :"home".task_usage_hourly, :"home".task_usage_hourly_dirty TO :"role";
GRANT SELECT, UPDATE ON :"home".task_usage_hourly_rollup_state TO :"role";

-- Which migrations were applied; and, from v0.3.17 on, what Multica's own scheduler did. Everybody may
-- connect, use the schema and call functions, unless somebody has revoked that.
SELECT to_regclass(format('%I.schema_migrations', :'home')) IS NOT NULL AS migrations,
       to_regclass(format('%I.sys_cron_executions', :'home')) IS NOT NULL AS executions,
       NOT has_database_privilege(:'role', current_database(), 'CONNECT') AS no_connect,
       NOT has_schema_privilege(:'role', :'home', 'USAGE') AS no_usage,
       coalesce(NOT has_function_privilege(:'role', to_regprocedure(format('%I.rollup_task_usage_hourly_window(timestamptz,timestamptz)', :'home')), 'EXECUTE'), false) AS no_window,
       coalesce(NOT has_function_privilege(:'role', to_regprocedure(format('%I.task_usage_hour_bucket(timestamptz)', :'home')), 'EXECUTE'), false) AS no_bucket \gset
\if :migrations
GRANT SELECT ON :"home".schema_migrations TO :"role";
\endif
\if :executions
GRANT SELECT ON :"home".sys_cron_executions TO :"role";
\endif
\if :no_connect
GRANT CONNECT ON DATABASE :"database" TO :"role";
\endif
\if :no_usage
GRANT USAGE ON SCHEMA :"home" TO :"role";
\endif
\if :no_window
GRANT EXECUTE ON FUNCTION :"home".rollup_task_usage_hourly_window(timestamptz, timestamptz) TO :"role";
\endif
\if :no_bucket
GRANT EXECUTE ON FUNCTION :"home".task_usage_hour_bucket(timestamptz) TO :"role";
\endif

-- To see when other sessions' transactions began: without it the agent judges by their locks alone. Not
-- everybody who may run this may grant that.
DO $$
DECLARE
    grantee CONSTANT text := current_setting('multica_rollup.role');
    grants  text := format('grant pg_read_all_stats to %I', grantee);
BEGIN
    IF pg_has_role(grantee, 'pg_read_all_stats', 'USAGE') THEN
        RETURN;
    END IF;
    IF current_setting('server_version_num')::int >= 160000 THEN
        grants := grants || ' with inherit true';
    ELSIF (SELECT NOT rolinherit FROM pg_roles WHERE rolname = grantee) THEN
        grants := grants || format('; alter role %I inherit', grantee);
    END IF;
    EXECUTE grants;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'role % may not grant pg_read_all_stats', quote_ident(current_user)
        USING HINT = format('have a superuser type: %s;', grants);
END
$$;

-- A grant by somebody who may not is a mere warning of PostgreSQL's.
DO $$
DECLARE
    grantee CONSTANT text := current_setting('multica_rollup.role');
    home    CONSTANT text := current_setting('multica_rollup.home');
    lacks   text;
BEGIN
    SELECT string_agg(x.lack, ', ') INTO lacks
    FROM (
        SELECT 'connect on database ' || quote_ident(current_database()) AS lack
        WHERE NOT has_database_privilege(grantee, current_database(), 'CONNECT')
        UNION ALL
        SELECT 'usage on schema ' || quote_ident(home)
        WHERE NOT has_schema_privilege(grantee, home, 'USAGE')
        UNION ALL
        SELECT 'execute on function ' || p.oid::regprocedure
        FROM pg_proc p
        WHERE p.oid IN (to_regprocedure(format('%I.rollup_task_usage_hourly_window(timestamptz,timestamptz)', home)),
                        to_regprocedure(format('%I.task_usage_hour_bucket(timestamptz)', home)))
          AND NOT has_function_privilege(grantee, p.oid, 'EXECUTE')
        UNION ALL
        SELECT 'select on table ' || c.oid::regclass
        FROM pg_class c
        WHERE c.oid IN (to_regclass(format('%I.schema_migrations', home)), to_regclass(format('%I.sys_cron_executions', home)))
          AND NOT has_table_privilege(grantee, c.oid, 'SELECT')
    ) AS x;
    IF lacks IS NOT NULL THEN
        RAISE EXCEPTION 'role % still lacks %, which role % may not grant', quote_ident(grantee), lacks, quote_ident(current_user)
            USING HINT = 'run this as a superuser';
    END IF;
END
$$;

COMMIT;
