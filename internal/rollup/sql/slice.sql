-- Rolls up the events of one slice: reads every usage row of the bucket hours
-- they touch once, and writes those hourly rows that changed.
-- $1 from, $2 to: the slice, by event time (updated_at, or created_at where that is NULL).
-- $3 start of the pass: hours created in [$3, $1) were read in this pass and hold nothing new.
-- $4 end of the pass: a key is dirty when one of its rows has an event in [$1, $4).
-- $5 the bucket hours to read (timestamptz[]), where they are known: a part of
-- those that the events of one moment touch. NULL: those of the slice's events.
-- Returns hourly rows written, usage rows read.
-- LATERAL with OFFSET 0 keeps the plan on the indexes (task_usage by created_at,
-- tasks and issues by primary key) whatever the estimates say.
-- Lines that end in "-- 213" are for databases with the cost columns.
with touched as (
  select unnest($5::timestamptz[]) as hour
  union all
  select distinct date_trunc('hour', e.created_at, 'UTC')
  from (
    -- Hours created in the slice, whenever their rows were corrected: a correction
    -- that comes later in the pass is passed over as read.
    select created_at from task_usage where created_at >= $1 and created_at < $2
    union all
    -- Hours that the pass has not read, corrected in the slice.
    select created_at from task_usage
    where updated_at >= $1 and updated_at < $2 and not (created_at >= $3 and created_at < $2)
  ) e
  where $5::timestamptz[] is null
), counted as (
  select t.hour, a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model,
         sum(u.input_tokens)::bigint as input_tokens,
         sum(u.output_tokens)::bigint as output_tokens,
         sum(u.cache_read_tokens)::bigint as cache_read_tokens,
         sum(u.cache_write_tokens)::bigint as cache_write_tokens,
         -- task_usage is unique by (task_id, provider, model): a key has one row a task
         count(*) as events,
         coalesce(sum(u.cost_usd_ticks), 0)::bigint as cost_usd_ticks, -- 213
         coalesce(sum(u.input_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_input_tokens, -- 213
         coalesce(sum(u.output_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_output_tokens, -- 213
         coalesce(sum(u.cache_read_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_cache_read_tokens, -- 213
         coalesce(sum(u.cache_write_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_cache_write_tokens, -- 213
         bool_or(coalesce(u.updated_at, u.created_at) >= $1 and coalesce(u.updated_at, u.created_at) < $4) as dirty
  from touched t
  cross join lateral (
    select * from task_usage r
    where r.created_at >= t.hour and r.created_at < t.hour + interval '1 hour' offset 0) u
  cross join lateral (
    select k.agent_id, k.runtime_id, k.issue_id from agent_task_queue k
    where k.id = u.task_id offset 0) q
  join agent a on a.id = q.agent_id
  left join lateral (
    select s.project_id from issue s where s.id = q.issue_id offset 0) i on true
  where q.runtime_id is not null
  group by t.hour, a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model
), written as (
  insert into task_usage_hourly as h (
    bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count,
    cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, -- 213
    uncosted_cache_read_tokens, uncosted_cache_write_tokens, -- 213
    updated_at)
  select c.hour, c.workspace_id, c.runtime_id, c.agent_id, c.project_id, c.provider, c.model,
         c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens, c.events, c.events,
         c.cost_usd_ticks, c.uncosted_input_tokens, c.uncosted_output_tokens, -- 213
         c.uncosted_cache_read_tokens, c.uncosted_cache_write_tokens, -- 213
         now()
  from counted c
  where c.dirty
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
)
select (select count(*) from written), (select coalesce(sum(events), 0) from counted)::bigint
