  -- part: inserts the hourly rows of the CTE wanted.
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
