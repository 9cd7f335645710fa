-- part: inserts or replaces the hourly rows of the CTE wanted. A row that is
-- right already is left alone: no dead tuple for nothing.
written as (
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
  from wanted w
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
