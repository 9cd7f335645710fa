-- Sessions that write to the source tables now: pid, virtual transaction, and whether
-- they write to tasks or issues, by which they may move usage to other keys.
-- pg_locks can be read by every role, also where pg_stat_activity is hidden.
select l.pid, l.virtualtransaction, bool_or(l.relation is distinct from to_regclass('task_usage'))
from pg_locks l
where l.locktype = 'relation'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.relation = any (array[to_regclass('task_usage'), to_regclass('agent_task_queue'), to_regclass('issue')]::oid[])
  and l.mode = 'RowExclusiveLock'
  and l.granted
  and l.pid is not null
  and l.pid <> pg_backend_pid()
group by 1, 2
