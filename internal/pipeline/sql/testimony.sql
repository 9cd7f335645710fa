-- What became of hourly rows: whether each is there, and when it was written, in their order. $1 to $7 the keys, column by column.
-- Each is found by the unique index, whose first column is bucket_hour.
select h.updated_at is not null, least(coalesce(h.updated_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00')
from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
       with ordinality as w(hour, workspace, runtime, agent, project, provider, model, n)
left join lateral (
  select x.updated_at from task_usage_hourly x
  where x.bucket_hour = w.hour and x.workspace_id = w.workspace::uuid and x.runtime_id = w.runtime::uuid
    and x.agent_id = w.agent::uuid and x.project_id is not distinct from w.project::uuid
    and x.provider = w.provider and x.model = w.model
  limit 1) h on true
order by w.n
