-- The backend's own scheduler, if it has run the roll-up within a day.
-- The columns of sys_cron_executions differ between releases, so it is read as jsonb.
select 'backend',
       'Multica''s own scheduler (sys_cron_executions)',
       '',
       max(e.at) > now() - interval '1 hour',
       max(e.at),
       null::boolean
from (
  select (select max(v.value::timestamptz)
          from jsonb_each_text(to_jsonb(s)) v
          where v.key in ('started_at', 'created_at', 'plan_time', 'finished_at')) as at
  from sys_cron_executions s
  where s.job_name = 'rollup_task_usage_hourly'
) e
where e.at > now() - interval '1 day'
having count(*) > 0
