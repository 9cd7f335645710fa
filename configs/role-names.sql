-- What `multica-rollup usage` needs to show names instead of ids; the roll-up itself needs none of it.
-- The owner of Multica's tables, or a superuser, runs this once with psql in Multica's own database, after
-- role.sql:
--
--     sudo -u postgres psql -d multica -f role-names.sql
--
-- It grants columns, not tables. Columns that a release of Multica does not have yet are left out: run
-- this again after an upgrade that brings them. Another role: psql -v role=NAME -d multica -f role-names.sql

\set ON_ERROR_STOP on
\if :{?role}
\else
\set role multica-rollup
\endif

BEGIN;

-- From here on no name is looked up in a schema in which others may create objects.
SELECT pg_catalog.set_config('multica_rollup.usage', pg_catalog.to_regclass('task_usage')::pg_catalog.oid::pg_catalog.text, true) AS ignored,
       pg_catalog.set_config('multica_rollup.role', :'role', true) AS ignored_too \gset
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    home   text;
    wanted record;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = nullif(current_setting('multica_rollup.usage'), '')::oid;
    IF home IS NULL THEN
        RAISE EXCEPTION 'database % is not Multica''s: the search_path finds no table task_usage', current_database()
            USING HINT = 'name the database that DATABASE_URL of Multica names: psql -d NAME -f role-names.sql; where its tables are in a schema of their own: PGOPTIONS="-c search_path=SCHEMA" psql …';
    END IF;
    FOR wanted IN
        SELECT w.t, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
        FROM (VALUES ('workspace', ARRAY['id', 'name', 'slug']),
                     ('agent', ARRAY['id', 'workspace_id', 'name', 'kind', 'archived_at']),
                     ('project', ARRAY['id', 'title']),
                     ('agent_runtime', ARRAY['id', 'name'])) AS w (t, c)
        JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', home, w.t)) AND a.attname = ANY (w.c) AND NOT a.attisdropped
        GROUP BY w.t
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON %I.%I TO %I', wanted.columns, home, wanted.t, current_setting('multica_rollup.role'));
    END LOOP;
END
$$;

COMMIT;
