-- Whether our role sees other roles' sessions, whether it owns Multica's tables (the
-- application then connects as the same role), how many sessions are hidden now, how many of those
-- seen have track_activities off, and the role of one of them.
select pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
       coalesce((select pg_has_role(current_user, c.relowner, 'usage') from pg_class c where c.oid = to_regclass('task_usage')), false),
       (select count(*) from pg_stat_activity a
        where a.datid = (select oid from pg_database where datname = current_database()) and a.backend_type is null),
       count(u.usename), coalesce(min(u.usename), '')
from (select usename::text from pg_stat_activity a
      where a.datid = (select oid from pg_database where datname = current_database())
        and a.pid <> pg_backend_pid() and a.state = 'disabled') u
