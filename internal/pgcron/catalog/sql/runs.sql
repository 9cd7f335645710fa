-- The last runs of a job, the newest first. $1 job id, $2 how many.
select start_time, end_time, coalesce(status, ''), coalesce(return_message, '')
from cron.job_run_details
where jobid = $1
order by runid desc
limit $2
