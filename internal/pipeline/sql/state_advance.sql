-- Moves the watermark to the end of what was just rolled up, in the slice's own transaction,
-- and keeps last_run_* as Multica's own function does.
-- $1 new watermark, $2 start of the run, $3 hourly rows written by the run so far.
-- The watermark returned is bounded, since somebody may have made it infinite. greatest(): upstream's migration hook stamps the row without taking lock 4246.
update task_usage_hourly_rollup_state
set watermark_at = greatest(watermark_at, $1),
    last_run_started_at = $2,
    last_run_finished_at = clock_timestamp(),
    last_run_rows = $3,
    last_error = null
where id = 1
returning least(watermark_at, '9998-01-01 00:00:00+00')
