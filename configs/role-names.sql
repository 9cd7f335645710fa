-- What `multica-rollup usage` needs to show names instead of ids; the roll-up itself needs none of it.
-- The owner of Multica's tables runs this once in Multica's own database, after role.sql:
--
--     sudo -u postgres psql -d multica -f role-names.sql
--
-- It grants columns, not tables. Columns that a release of Multica does not have yet are left out: run
-- this again after an upgrade that brings them.

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT w.t, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
        FROM (VALUES ('workspace', ARRAY['id', 'name', 'slug']),
                     ('agent', ARRAY['id', 'workspace_id', 'name', 'kind', 'archived_at']),
                     ('project', ARRAY['id', 'title']),
                     ('agent_runtime', ARRAY['id', 'name'])) AS w (t, c)
        JOIN pg_attribute a ON a.attrelid = to_regclass(w.t) AND a.attname = ANY (w.c) AND NOT a.attisdropped
        GROUP BY w.t
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON %s TO "multica-rollup"', wanted.columns, to_regclass(wanted.t));
    END LOOP;
END
$$;
