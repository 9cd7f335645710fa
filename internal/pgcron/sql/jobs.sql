-- Jobs of pg_cron that roll up task_usage_hourly, whatever database they work in; row
-- security shows a role its own, and a superuser all.
-- One row each: id, name, schedule, command, database, user, active, and of the last run that
-- ended: status, message.
select j.jobid, coalesce(j.jobname::text, ''), j.schedule, j.command, j.database, j.username, j.active,
       coalesce(r.status, ''), coalesce(r.return_message, '')
from cron.job j
left join lateral (
  select d.status, d.return_message from cron.job_run_details d
  where d.jobid = j.jobid and d.end_time is not null order by d.runid desc limit 1
) r on true
where j.command ~ 'rollup_task_usage_hourly\M'
order by j.jobid
