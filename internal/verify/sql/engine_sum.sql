-- Whether anything else changed: the number and a sum of hashes of all hourly
-- rows of some hours ($1), and the length of the queue. $2 hours, $3 agents, $4 models
-- (arrays of one length): rows that have an hour with one of its agents and one of its models are left out.
select count(*),
       coalesce(sum(hashtextextended((to_jsonb(h) - 'updated_at')::text, 0)::numeric), 0)::text,
       (select count(*) from task_usage_hourly_dirty)
from unnest($1::timestamptz[]) as k (hour)
cross join lateral (select * from task_usage_hourly t where t.bucket_hour = k.hour offset 0) h
where (h.bucket_hour, h.agent_id::text) not in (select * from unnest($2::timestamptz[], $3::text[]))
   or (h.bucket_hour, h.model) not in (select * from unnest($2::timestamptz[], $4::text[]))
