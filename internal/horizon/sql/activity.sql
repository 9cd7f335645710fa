-- Client sessions of this database that are in a transaction or may be, ours left out.
-- One row each: pid, backend start, transaction start, who it is, why its transaction start cannot be
-- seen ('' where it can), and whether it holds a snapshot.
-- A session of another role is hidden without pg_read_all_stats: its times and its type read NULL, its
-- pid, database, role and backend_xmin do not. An autovacuum worker has no role. With track_activities
-- off there is no transaction start; where that was turned on within a transaction, neither.
select a.pid,
       a.backend_start,
       a.xact_start,
       coalesce(nullif(a.application_name, ''), a.backend_type, 'session') || ' of ' || coalesce(a.usename::text, 'nobody'),
       case when a.backend_type is null then 'hidden' when a.xact_start is null then 'untracked' else '' end,
       a.backend_xmin is not null
from pg_stat_activity a
where a.datid = (select oid from pg_database where datname = current_database())
  and a.pid <> pg_backend_pid()
  and case when a.backend_type is null then a.usesysid is not null
           else a.backend_type not in ('autovacuum worker', 'walsender', 'parallel worker')
                and (a.xact_start is not null or a.state is distinct from 'idle') end
