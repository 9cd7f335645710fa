-- Drops the queue rows of agents that do not exist any more: the database's function would delete the
-- hourly rows that they name, which are the only record of what those agents spent.
-- $1 end of the function's window: it takes what was queued before that.
-- Returns whether none is left. One is left where another transaction has locked it.
-- Served by the queue's index on enqueued_at and by agent's primary key.
with orphan as materialized (
  select d.ctid as at
  from task_usage_hourly_dirty d
  where d.enqueued_at < $1 and not exists (select from agent a where a.id = d.agent_id)
), locked as materialized (
  select d.ctid as at
  from task_usage_hourly_dirty d
  where d.ctid = any (array(select at from orphan))
  for update skip locked
), dropped as (
  delete from task_usage_hourly_dirty where ctid = any (array(select at from locked)) returning 1
)
select (select count(*) from orphan) = (select count(*) from dropped)
