-- Whether pg_cron's tables are here and may be read. A CASE, since looking up a
-- name in a schema that is closed to us is an error.
select case
         when coalesce((select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = 'cron'), false)
         then coalesce(has_table_privilege(to_regclass('cron.job'), 'select')
                       and has_table_privilege(to_regclass('cron.job_run_details'), 'select'), false)
         else false
       end
