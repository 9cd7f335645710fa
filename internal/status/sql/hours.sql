-- The last 24 hours as rolled up, oldest first: start, tokens, usage rows.
-- Served by the unique key, which bucket_hour leads.
select h.at, coalesce(u.tokens, 0), coalesce(u.events, 0)
from generate_series(date_trunc('hour', now(), 'UTC') - interval '23 hours', date_trunc('hour', now(), 'UTC'), interval '1 hour') as h(at)
left join lateral (
  select sum(t.input_tokens + t.output_tokens + t.cache_read_tokens + t.cache_write_tokens)::bigint as tokens,
         sum(t.event_count)::bigint as events
  from task_usage_hourly t
  where t.bucket_hour = h.at
) u on true
order by h.at
