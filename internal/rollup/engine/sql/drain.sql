-- Recomputes the keys of locked queue rows and deletes exactly those rows.
-- With the keys of an hour it recomputes all that have their agents and models, whose usage it has
-- to read anyway: two transactions that move the same usage at once, each unseen by the other's
-- trigger, queue keys that it has left or never had, and none queues the one it ends up in.
-- $1 where they lie (ctids as text[]): fixed while they are locked, and no other
-- name for them is safe (an uncommitted conflicting insert leaves key and
-- enqueued_at as they were). It runs as a statement of its own after the
-- locking, so its snapshot sees all that was committed before the rows were locked.
-- Returns hourly rows written, hourly rows deleted, queue rows deleted, usage rows counted.
-- Plan as in slice.sql.
with q as materialized (
  select bucket_hour, agent_id, model
  from task_usage_hourly_dirty
  where ctid = any ($1::tid[])
), touched as materialized (
  select bucket_hour as hour, array_agg(distinct agent_id) as agents, array_agg(distinct model) as models
  from q
  group by 1
), counted as materialized (
  select t.hour as bucket_hour, a.workspace_id, k.runtime_id, k.agent_id, i.project_id, u.provider, u.model,
{{template "sums" .}}
  from touched t
  cross join lateral (
    select * from task_usage r
    where r.created_at >= t.hour and r.created_at < t.hour + interval '1 hour' and r.model = any (t.models)
      -- A key of no whole hour has no usage of its own.
      and t.hour = date_trunc('hour', t.hour, 'UTC') offset 0) u
  cross join lateral (
    select x.agent_id, x.runtime_id, x.issue_id from agent_task_queue x
    where x.id = u.task_id and x.agent_id = any (t.agents) offset 0) k
  join agent a on a.id = k.agent_id
  left join lateral (
    select s.project_id from issue s where s.id = k.issue_id offset 0) i on true
  where k.runtime_id is not null
  group by t.hour, a.workspace_id, k.runtime_id, k.agent_id, i.project_id, u.provider, u.model
{{template "reconcile" .}}
), worked as (
  delete from task_usage_hourly_dirty where ctid = any ($1::tid[]) returning 1
)
select (select count(*) from written), (select count(*) from gone), (select count(*) from worked),
       (select coalesce(sum(event_count), 0) from counted)::bigint
