-- The last 24 hours as rolled up, oldest first: start, tokens, usage rows. What is beyond a bigint is its greatest.
-- Served by the unique key, which bucket_hour leads.
select h.at, coalesce(u.tokens, 0), coalesce(u.events, 0)
from generate_series(date_trunc('hour', now(), 'UTC') - interval '23 hours', date_trunc('hour', now(), 'UTC'), interval '1 hour') as h(at)
left join lateral (
  select least(coalesce(sum(t.input_tokens::numeric + t.output_tokens + t.cache_read_tokens + t.cache_write_tokens), 0), 9223372036854775807)::bigint as tokens,
         least(coalesce(sum(t.event_count), 0), 9223372036854775807)::bigint as events
  from task_usage_hourly t
  where t.bucket_hour = h.at
) u on true
order by h.at
