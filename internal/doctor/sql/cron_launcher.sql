-- The database in which pg_cron's launcher works ('' where none is seen), and whether one could be hidden.
select coalesce((select a.datname::text from pg_stat_activity a
                 where a.backend_type = 'pg_cron launcher' or a.application_name = 'pg_cron scheduler' limit 1), ''),
       not pg_has_role(current_user, 'pg_read_all_stats', 'usage')
