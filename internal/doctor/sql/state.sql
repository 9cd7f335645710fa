-- The pipeline's state row, the clock, the span of raw usage and the oldest event that waits.
-- Served by the indexes on updated_at and created_at, the partial one among them.
-- The watermark is bounded, since it may be infinite.
select s.mark, s.last_run_started_at, s.last_run_finished_at, s.last_error, clock_timestamp(),
       least((select min(updated_at) from task_usage where updated_at is not null),
             (select min(created_at) from task_usage where updated_at is null)),
       greatest((select max(updated_at) from task_usage where updated_at is not null),
                (select max(created_at) from task_usage where updated_at is null)),
       least((select min(updated_at) from task_usage where updated_at >= s.mark),
             (select min(created_at) from task_usage where updated_at is null and created_at >= s.mark))
from (select least(greatest(watermark_at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') as mark,
             last_run_started_at, last_run_finished_at, coalesce(last_error, '') as last_error
      from task_usage_hourly_rollup_state where id = 1) s
