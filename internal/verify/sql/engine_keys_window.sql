-- The keys that a window of events makes dirty. $1 from, $2 to, by event time.
-- Served by the indexes on updated_at and created_at, and by primary keys.
select distinct date_trunc('hour', e.created_at, 'UTC'), a.workspace_id::text, q.runtime_id::text, q.agent_id::text,
       coalesce(i.project_id::text, ''), e.provider, e.model
from (
  select task_id, provider, model, created_at from task_usage where updated_at >= $1 and updated_at < $2
  union all
  select task_id, provider, model, created_at from task_usage
  where updated_at is null and created_at >= $1 and created_at < $2
) e
join agent_task_queue q on q.id = e.task_id
join agent a on a.id = q.agent_id
left join issue i on i.id = q.issue_id
where q.runtime_id is not null
