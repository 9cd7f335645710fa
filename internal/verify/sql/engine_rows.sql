-- The hourly rows of some keys, without updated_at: when an engine wrote is its own.
-- $1 hours, $2 workspaces, $3 runtimes, $4 agents, $5 projects ('' for none), $6 providers,
-- $7 models (arrays of one length).
-- Returns for each key that has a row: the key's place in the arrays, ctid, the row as JSON.
-- Served by the hourly table's unique key.
select k.n, h.ctid::text, h.row
from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     with ordinality as k (hour, workspace, runtime, agent, project, provider, model, n)
cross join lateral (
  select t.ctid, (to_jsonb(t) - 'updated_at')::text as row
  from task_usage_hourly t
  where t.bucket_hour = k.hour and t.workspace_id = k.workspace::uuid and t.runtime_id = k.runtime::uuid
    and t.agent_id = k.agent::uuid and t.project_id is not distinct from nullif(k.project, '')::uuid
    and t.provider = k.provider and t.model = k.model offset 0) h
order by k.n
