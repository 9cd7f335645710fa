-- Transactions open now in some sessions: pid, virtual transaction, whether they write to the source
-- tables, and whether to tasks or issues, by which they may move usage to other keys.
-- $1 the sessions' pids.
-- Every open transaction holds its virtualxid lock, and the lock to write from its first write on, both to
-- its end; a write rolled back to a savepoint gives its lock back. Partitions are written to by themselves;
-- who writes to one by its ancestor locks it, too. Agents are no source: a task never changes its agent.
-- pg_locks can be read by every role, also where pg_stat_activity is hidden, and is never cached.
with recursive source (relation, moves) as (
  select * from (values (to_regclass('task_usage')::oid, false), (to_regclass('agent_task_queue')::oid, true),
                        (to_regclass('issue')::oid, true)) t
  union
  select i.inhrelid, s.moves from source s join pg_inherits i on i.inhparent = s.relation
)
select l.pid, l.virtualtransaction,
       coalesce(bool_or(s.relation is not null), false),
       coalesce(bool_or(s.moves), false)
from pg_locks l
left join source s on s.relation = l.relation and l.locktype = 'relation'
                  and l.database = (select oid from pg_database where datname = current_database())
where l.pid = any ($1::int4[])
  and l.granted
  and (l.locktype = 'virtualxid' and l.mode = 'ExclusiveLock'
       or s.relation is not null and l.mode = 'RowExclusiveLock')
group by 1, 2
having bool_or(l.locktype = 'virtualxid')
