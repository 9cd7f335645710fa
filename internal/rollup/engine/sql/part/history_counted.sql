with counted as (
  select date_trunc('hour', u.created_at, 'UTC') as bucket_hour, a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model,
{{template "sums" .}}
  from task_usage u
  join agent_task_queue q on q.id = u.task_id
  join agent a on a.id = q.agent_id
  left join issue i on i.id = q.issue_id
  where u.created_at >= $1 and u.created_at < $2 and q.runtime_id is not null
  group by 1, 2, 3, 4, 5, 6, 7
