-- Sessions that write to the source tables now: pid, virtual transaction.
-- pg_locks can be read by every role, also where pg_stat_activity is hidden.
select distinct l.pid, l.virtualtransaction
from pg_locks l
where l.locktype = 'relation'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.relation = any (array[to_regclass('task_usage'), to_regclass('agent_task_queue'), to_regclass('issue')]::oid[])
  and l.mode = 'RowExclusiveLock'
  and l.granted
  and l.pid is not null
  and l.pid <> pg_backend_pid()
