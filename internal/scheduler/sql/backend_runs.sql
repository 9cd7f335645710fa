-- The backend's own scheduler, if it has run the roll-up within a day: whether it
-- has within the hour, and when last.
-- The columns of sys_cron_executions differ between releases: a name that the
-- table does not have is found in known instead, as NULL. A year of records
-- takes some 15 ms so; reading each as jsonb takes a second.
select max(e.at) > now() - interval '1 hour',
       max(e.at)
from (select null::timestamptz as started_at, null::timestamptz as created_at,
             null::timestamptz as plan_time, null::timestamptz as finished_at) as known
cross join lateral (
  select greatest(started_at, created_at, plan_time, finished_at) as at
  from sys_cron_executions s
  where s.job_name = 'rollup_task_usage_hourly'
) e
having max(e.at) > now() - interval '1 day'
