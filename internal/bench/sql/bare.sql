-- The limit: the whole history in one bare INSERT … SELECT … GROUP BY.
insert into task_usage_hourly (
  bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count, event_count,
  cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens)
select date_trunc('hour', u.created_at, 'UTC'), a.workspace_id, q.runtime_id, q.agent_id, i.project_id, u.provider, u.model,
       sum(u.input_tokens), sum(u.output_tokens), sum(u.cache_read_tokens), sum(u.cache_write_tokens),
       count(distinct u.task_id), count(*),
       coalesce(sum(u.cost_usd_ticks), 0),
       coalesce(sum(u.input_tokens) filter (where u.cost_usd_ticks is null), 0),
       coalesce(sum(u.output_tokens) filter (where u.cost_usd_ticks is null), 0),
       coalesce(sum(u.cache_read_tokens) filter (where u.cost_usd_ticks is null), 0),
       coalesce(sum(u.cache_write_tokens) filter (where u.cost_usd_ticks is null), 0)
from task_usage u
join agent_task_queue q on q.id = u.task_id
join agent a on a.id = q.agent_id
left join issue i on i.id = q.issue_id
where q.runtime_id is not null
group by 1, 2, 3, 4, 5, 6, 7
