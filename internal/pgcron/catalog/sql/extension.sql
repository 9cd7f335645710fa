-- pg_cron in the database at hand: its version ('' where it is not created), whether our
-- role may read its tables, schedule here, and schedule for other databases; and whether its table of
-- jobs has never had a row. Row security hides others' jobs, and the size of the file does not.
-- The CASE keeps names from being looked up in a schema that is closed to us.
select coalesce((select extversion from pg_extension where extname = 'pg_cron'), ''),
       case when u.usage then coalesce(has_table_privilege(to_regclass('cron.job'), 'select')
                                       and has_table_privilege(to_regclass('cron.job_run_details'), 'select'), false) else false end,
       case when u.usage then coalesce(has_function_privilege(to_regprocedure('cron.schedule(text,text,text)'), 'execute'), false) else false end,
       case when u.usage then coalesce(has_function_privilege(to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)'), 'execute'), false) else false end,
       case when u.usage then coalesce(pg_relation_size(to_regclass('cron.job')) = 0, false) else false end
from (select coalesce((select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = 'cron'), false) as usage) u
