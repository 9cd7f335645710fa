-- The oldest client transaction of this database that writes to the source tables, and the oldest prepared
-- one, with their ages in seconds. Those that have written nothing hold nothing back.
-- Nothing is shown of sessions that are hidden from our role.
select coalesce(a.pid, 0), coalesce(a.who, ''), coalesce(a.age, 0)::float8, coalesce(p.gid, ''), coalesce(p.age, 0)::float8
from (select) one
left join lateral (
  with recursive source (relation) as (
    select unnest(array[to_regclass('task_usage'), to_regclass('agent_task_queue'), to_regclass('issue')]::oid[])
    union
    select i.inhrelid from source s join pg_inherits i on i.inhparent = s.relation
  )
  select pid, coalesce(nullif(application_name, ''), backend_type) || ' of ' || coalesce(usename::text, 'nobody')
              || ', ' || coalesce(state, 'at work') as who,
         extract(epoch from clock_timestamp() - xact_start) as age
  from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    and backend_type not in ('autovacuum worker', 'walsender', 'parallel worker')
    and pid in (select l.pid from pg_locks l where l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.granted
                  and l.database = (select oid from pg_database where datname = current_database())
                  and l.relation in (select relation from source))
  order by xact_start limit 1) a on true
left join lateral (
  select gid, extract(epoch from clock_timestamp() - prepared) as age
  from pg_prepared_xacts where database = current_database() order by prepared limit 1) p on true
