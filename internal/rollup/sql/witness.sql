-- One of the hourly rows that this transaction has written in some bucket hours, the latest hour first; none where it
-- has written only others. $1 the first hour, $2 behind the last. Walked backwards along the unique index.
select bucket_hour, workspace_id::text, runtime_id::text, agent_id::text, project_id::text, provider, model, updated_at
from task_usage_hourly
where bucket_hour >= $1 and bucket_hour < $2 and updated_at = now()
order by bucket_hour desc
limit 1
