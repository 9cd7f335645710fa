-- The keys on the invalidation queue. $1 at most.
select bucket_hour, workspace_id::text, runtime_id::text, agent_id::text, coalesce(project_id::text, ''), provider, model
from task_usage_hourly_dirty
limit $1
