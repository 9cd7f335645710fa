-- Moves $1 tasks to a runtime that is new in each workspace, in one statement: its triggers queue
-- all their keys, old and new, with one timestamp. Returns the tasks moved.
with r as (
  insert into agent_runtime (workspace_id, name)
  select workspace_id, 'new' from (select distinct workspace_id from agent) w
  returning id, workspace_id
), m as (
  update agent_task_queue q set runtime_id = r.id
  from r join agent a on a.workspace_id = r.workspace_id
  where a.id = q.agent_id and q.id in (select id from agent_task_queue where runtime_id is not null order by id limit $1)
  returning 1
)
select count(*) from m
