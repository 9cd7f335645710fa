-- Jobs of pg_cron kept here that roll up task_usage_hourly, whatever database they work in; row
-- security shows a role its own, and a superuser all. Names of functions are folded to lower
-- case, so a job may write them in any.
-- A failed connection has neither start nor end, so what has ended is told by its status.
-- One row each: id, name, schedule, command, database, user, whether that is a superuser, active, and of the last run that
-- ended: start, status, message.
select j.jobid, coalesce(j.jobname::text, ''), j.schedule, j.command, j.database, j.username,
       coalesce((select u.rolsuper from pg_roles u where u.rolname = j.username), false), j.active,
       r.start_time, coalesce(r.status, ''), coalesce(r.return_message, '')
from cron.job j
left join lateral (
  select d.start_time, d.status, d.return_message from cron.job_run_details d
  where d.jobid = j.jobid and d.status in ('succeeded', 'failed') order by d.runid desc limit 1
) r on true
where j.command ~* 'rollup_task_usage_hourly\M'
order by j.jobid
