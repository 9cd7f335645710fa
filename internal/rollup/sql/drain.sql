-- Recomputes the keys of locked queue rows and deletes exactly those rows.
-- $1 where they lie (ctids as text[]): fixed while they are locked, and no other
-- name for them is safe (an uncommitted conflicting insert leaves key and
-- enqueued_at as they were). It runs as a statement of its own after the
-- locking, so its snapshot sees all that was committed before the rows were locked.
-- Returns hourly rows written, hourly rows deleted, queue rows deleted, usage rows counted.
-- Plan and marked lines as in slice.sql.
with q as materialized (
  select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
  from task_usage_hourly_dirty
  where ctid = any ($1::tid[])
), counted as materialized (
  select t.hour, a.workspace_id, k.runtime_id, k.agent_id, i.project_id, u.provider, u.model,
-- include sums
  -- A row of no whole hour has no usage of its own, and goes.
  from (select bucket_hour as hour, array_agg(distinct model) as models
        from q where bucket_hour = date_trunc('hour', bucket_hour, 'UTC') group by 1) t
  cross join lateral (
    select * from task_usage r
    where r.created_at >= t.hour and r.created_at < t.hour + interval '1 hour' and r.model = any (t.models) offset 0) u
  cross join lateral (
    select x.agent_id, x.runtime_id, x.issue_id from agent_task_queue x
    where x.id = u.task_id offset 0) k
  join agent a on a.id = k.agent_id
  left join lateral (
    select s.project_id from issue s where s.id = k.issue_id offset 0) i on true
  where k.runtime_id is not null
  group by t.hour, a.workspace_id, k.runtime_id, k.agent_id, i.project_id, u.provider, u.model
), judged as materialized (
  -- Keys without usage have NULL events.
  select q.*, c.events,
         c.cost_usd_ticks, c.uncosted_input_tokens, c.uncosted_output_tokens, -- 213
         c.uncosted_cache_read_tokens, c.uncosted_cache_write_tokens, -- 213
         c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens
  from q left join counted c
    on c.hour = q.bucket_hour and c.workspace_id = q.workspace_id and c.runtime_id = q.runtime_id
   and c.agent_id = q.agent_id and c.project_id is not distinct from q.project_id
   and c.provider = q.provider and c.model = q.model
), wanted as (
  select * from judged where events is not null
),
written as (
-- include insert
-- include replace
  returning 1
)
, gone as (
  delete from task_usage_hourly h
  using judged j
  where j.events is null
    and h.bucket_hour = j.bucket_hour and h.workspace_id = j.workspace_id and h.runtime_id = j.runtime_id
    and h.agent_id = j.agent_id and h.project_id is not distinct from j.project_id
    and h.provider = j.provider and h.model = j.model
  returning 1
), worked as (
  delete from task_usage_hourly_dirty where ctid = any ($1::tid[]) returning 1
)
select (select count(*) from written), (select count(*) from gone), (select count(*) from worked),
       (select coalesce(sum(events), 0) from counted)::bigint
