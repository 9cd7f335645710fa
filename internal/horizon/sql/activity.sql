-- Client transactions open in this database, ours left out.
-- One row each: pid, backend start, transaction start, who it is, hidden.
-- A session of another role is hidden without pg_read_all_stats: its times and its type read NULL.
select a.pid,
       a.backend_start,
       a.xact_start,
       coalesce(nullif(a.application_name, ''), a.backend_type, 'session') || ' of ' || coalesce(a.usename::text, 'nobody'),
       a.backend_type is null
from pg_stat_activity a
where a.datid = (select oid from pg_database where datname = current_database())
  and a.pid <> pg_backend_pid()
  and (a.backend_type is null
       or (a.xact_start is not null
           and a.backend_type not in ('autovacuum worker', 'walsender', 'parallel worker')))
