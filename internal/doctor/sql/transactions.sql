-- The oldest client transaction and the oldest prepared one of this database, with their ages in seconds.
-- Nothing is shown of sessions that are hidden from our role.
select coalesce(a.pid, 0), coalesce(a.who, ''), coalesce(a.age, 0)::float8, coalesce(p.gid, ''), coalesce(p.age, 0)::float8
from (select) one
left join lateral (
  select pid, coalesce(nullif(application_name, ''), backend_type) || ' of ' || coalesce(usename::text, 'nobody')
              || ', ' || coalesce(state, 'at work') as who,
         extract(epoch from clock_timestamp() - xact_start) as age
  from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    and backend_type not in ('autovacuum worker', 'walsender', 'parallel worker')
  order by xact_start limit 1) a on true
left join lateral (
  select gid, extract(epoch from clock_timestamp() - prepared) as age
  from pg_prepared_xacts where database = current_database() order by prepared limit 1) p on true
