-- Whether the watermark is where a run that ended well has left it. $1 what every run stays behind its clock by, in seconds.
-- Who stamps the watermark without rolling up leaves the end of an earlier run, which is too early for it.
select coalesce(last_error is null and last_run_finished_at >= watermark_at + make_interval(secs => $1), false)
from task_usage_hourly_rollup_state
where id = 1
