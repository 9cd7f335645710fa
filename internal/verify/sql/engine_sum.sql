-- Whether anything else changed: the number and a sum of hashes of all hourly
-- rows of some hours ($1), and the length of the queue.
select count(*),
       coalesce(sum(hashtextextended((to_jsonb(h) - 'updated_at')::text, 0)::numeric), 0)::text,
       (select count(*) from task_usage_hourly_dirty)
from unnest($1::timestamptz[]) as k (hour)
cross join lateral (select * from task_usage_hourly t where t.bucket_hour = k.hour offset 0) h
