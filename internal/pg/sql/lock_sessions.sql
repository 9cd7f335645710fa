-- Who holds the advisory lock of a bigint key in this database, and who waits for it.
-- $1 key. Activity of other roles is NULL without pg_read_all_stats.
select l.pid,
       l.granted,
       coalesce(a.application_name, ''),
       coalesce(a.usename::text, ''),
       coalesce(a.state, ''),
       coalesce(a.xact_start, a.state_change),
       a.backend_start
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.objsubid = 1
  and (l.classid::bigint << 32) | l.objid::bigint = $1
order by l.granted desc, coalesce(a.xact_start, a.state_change), l.pid
