-- Jobs of pg_cron that roll up this database.
-- One row each: kind, detail, schedule, active, last run, whether it succeeded.
select 'pg_cron',
       'job ' || j.jobid || coalesce(' "' || j.jobname || '"', '') || ' as ' || j.username,
       j.schedule,
       j.active,
       r.start_time,
       case r.status when 'succeeded' then true when 'failed' then false end
from cron.job j
left join lateral (
  select d.start_time, d.status from cron.job_run_details d
  where d.jobid = j.jobid order by d.runid desc limit 1
) r on true
where j.database = current_database()
  and j.command ~ 'rollup_task_usage_hourly\M'
