-- Agents that have buckets but do not exist any more, at most 1000.
-- It steps from one (workspace, agent) to the next by the index on (workspace_id, agent_id,
-- bucket_hour), so it costs one look-up for each pair, however many buckets there are.
with recursive pairs as (
  (select workspace_id, agent_id from task_usage_hourly order by workspace_id, agent_id limit 1)
  union all
  select n.workspace_id, n.agent_id
  from pairs p
  cross join lateral (
    select h.workspace_id, h.agent_id from task_usage_hourly h
    where (h.workspace_id, h.agent_id) > (p.workspace_id, p.agent_id)
    order by h.workspace_id, h.agent_id limit 1
  ) n
)
select distinct p.agent_id::text
from pairs p
where not exists (select from agent a where a.id = p.agent_id)
limit 1000
