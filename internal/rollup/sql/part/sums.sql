         -- part: the counters of one key, over usage rows u. task_usage is unique
         -- by (task_id, provider, model), so a key has one row a task.
         sum(u.input_tokens)::bigint as input_tokens,
         sum(u.output_tokens)::bigint as output_tokens,
         sum(u.cache_read_tokens)::bigint as cache_read_tokens,
         sum(u.cache_write_tokens)::bigint as cache_write_tokens,
         coalesce(sum(u.cost_usd_ticks), 0)::bigint as cost_usd_ticks, -- 213
         coalesce(sum(u.input_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_input_tokens, -- 213
         coalesce(sum(u.output_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_output_tokens, -- 213
         coalesce(sum(u.cache_read_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_cache_read_tokens, -- 213
         coalesce(sum(u.cache_write_tokens) filter (where u.cost_usd_ticks is null), 0)::bigint as uncosted_cache_write_tokens, -- 213
         count(*) as events
