-- Records why a run failed. $1 start of the run, $2 one line.
update task_usage_hourly_rollup_state
set last_run_started_at = $1, last_run_finished_at = clock_timestamp(), last_run_rows = 0, last_error = $2
where id = 1
