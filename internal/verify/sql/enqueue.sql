-- Queues keys as invalidations.
-- $1 hours, $2 workspaces, $3 runtimes, $4 agents, $5 projects ('' for none), $6 providers,
-- $7 models (arrays of one length); $8 seconds by which enqueued_at is dated back.
-- As in Multica's triggers a key that is queued already keeps the greater enqueued_at.
-- The order keeps two of these from waiting for each other.
insert into task_usage_hourly_dirty as d
  (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, enqueued_at)
select k.hour, k.workspace::uuid, k.runtime::uuid, k.agent::uuid, nullif(k.project, '')::uuid, k.provider, k.model,
       now() - make_interval(secs => $8)
from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     as k (hour, workspace, runtime, agent, project, provider, model)
order by 1, 2, 3, 4, 5, 6, 7
on conflict on constraint uq_task_usage_hourly_dirty_key
do update set enqueued_at = greatest(d.enqueued_at, excluded.enqueued_at)
