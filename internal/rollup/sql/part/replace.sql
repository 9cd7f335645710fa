  -- part: replaces what is there. A row that is right already is left alone: no dead tuple for nothing.
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
