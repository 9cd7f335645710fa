-- Recomputes the keys of locked queue rows and deletes exactly those rows.
-- $1 where they lie (ctids as text[]): fixed while they are locked, and no other
-- name for them is safe (an uncommitted conflicting insert leaves key and
-- enqueued_at as they were). It runs as a statement of its own after the
-- locking, so its snapshot sees all that was committed before the rows were locked.
-- Returns hourly rows written, hourly rows deleted, queue rows deleted, usage rows read.
-- Plan and marked lines as in slice.sql.
with q as materialized (
  select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
  from task_usage_hourly_dirty
  where ctid = any ($1::tid[])
), counted as materialized (
  select t.hour, a.workspace_id, k.runtime_id, k.agent_id, i.project_id, u.provider, u.model,
         sum(u.input_tokens)::bigint as input_tokens,
         sum(u.output_tokens)::bigint as output_tokens,
         sum(u.cache_read_tokens)::bigint as cache_read_tokens,
         sum(u.cache_write_tokens)::bigint as cache_write_tokens,
         count(*) as events
         , coalesce(sum(u.cost_usd_ticks), 0)::bigint as cost_usd_ticks -- 213
         , coalesce(sum(u.input_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_input_tokens -- 213
         , coalesce(sum(u.output_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_output_tokens -- 213
         , coalesce(sum(u.cache_read_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_cache_read_tokens -- 213
         , coalesce(sum(u.cache_write_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_cache_write_tokens -- 213
  -- A row of no whole hour has no usage of its own, and goes.
  from (select distinct bucket_hour as hour from q where bucket_hour = date_trunc('hour', bucket_hour, 'UTC')) t
  cross join lateral (
    select * from task_usage r
    where r.created_at >= t.hour and r.created_at < t.hour + interval '1 hour' offset 0) u
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
         c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens
         , c.cost_usd_ticks, c.uncosted_input_tokens, c.uncosted_output_tokens -- 213
         , c.uncosted_cache_read_tokens, c.uncosted_cache_write_tokens -- 213
  from q left join counted c
    on c.hour = q.bucket_hour and c.workspace_id = q.workspace_id and c.runtime_id = q.runtime_id
   and c.agent_id = q.agent_id and c.project_id is not distinct from q.project_id
   and c.provider = q.provider and c.model = q.model
), written as (
  insert into task_usage_hourly as h (
    bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count,
    cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, -- 213
    uncosted_cache_read_tokens, uncosted_cache_write_tokens, -- 213
    updated_at)
  select w.bucket_hour, w.workspace_id, w.runtime_id, w.agent_id, w.project_id, w.provider, w.model,
         w.input_tokens, w.output_tokens, w.cache_read_tokens, w.cache_write_tokens, w.events, w.events,
         w.cost_usd_ticks, w.uncosted_input_tokens, w.uncosted_output_tokens, -- 213
         w.uncosted_cache_read_tokens, w.uncosted_cache_write_tokens, -- 213
         now()
  from judged w
  where w.events is not null
  on conflict on constraint uq_task_usage_hourly_key do update
  set input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
      cache_read_tokens = excluded.cache_read_tokens, cache_write_tokens = excluded.cache_write_tokens,
      task_count = excluded.task_count, event_count = excluded.event_count,
      cost_usd_ticks = excluded.cost_usd_ticks, -- 213
      uncosted_input_tokens = excluded.uncosted_input_tokens, -- 213
      uncosted_output_tokens = excluded.uncosted_output_tokens, -- 213
      uncosted_cache_read_tokens = excluded.uncosted_cache_read_tokens, -- 213
      uncosted_cache_write_tokens = excluded.uncosted_cache_write_tokens, -- 213
      updated_at = excluded.updated_at
  where (h.input_tokens, h.output_tokens, h.cache_read_tokens, h.cache_write_tokens, h.task_count, h.event_count)
     is distinct from
        (excluded.input_tokens, excluded.output_tokens, excluded.cache_read_tokens, excluded.cache_write_tokens, excluded.task_count, excluded.event_count)
     or (h.cost_usd_ticks, h.uncosted_input_tokens, h.uncosted_output_tokens, h.uncosted_cache_read_tokens, h.uncosted_cache_write_tokens) -- 213
     is distinct from -- 213
        (excluded.cost_usd_ticks, excluded.uncosted_input_tokens, excluded.uncosted_output_tokens, excluded.uncosted_cache_read_tokens, excluded.uncosted_cache_write_tokens) -- 213
  returning 1
), gone as (
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
