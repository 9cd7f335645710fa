-- Buckets whose uncosted sums were never computed, counted to 1000, among the $1 oldest.
-- Those of a deleted agent are left out: no recomputing reaches them.
-- Served by the unique key, which begins with bucket_hour.
select count(*)
from (
  select from (
    select h.agent_id, h.uncosted_input_tokens from task_usage_hourly h order by h.bucket_hour limit $1
  ) h
  where h.uncosted_input_tokens is null
    and exists (select from agent a where a.id = h.agent_id)
  limit 1000
) few
