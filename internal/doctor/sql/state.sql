-- The pipeline's state row, the clock, the span of raw usage and the oldest event that waits.
-- Served by the indexes on updated_at and created_at, the partial one among them.
-- Times are bounded, since they may be infinite.
select watermark, started, finished, last_error, clock_timestamp(),
       case when oldest is not null then least(greatest(oldest, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       case when newest is not null then least(greatest(newest, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       case when waiting is not null then least(greatest(waiting, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end
from (select s.*,
             least((select min(updated_at) from task_usage where updated_at is not null),
                   (select min(created_at) from task_usage where updated_at is null)) as oldest,
             greatest((select max(updated_at) from task_usage where updated_at is not null),
                      (select max(created_at) from task_usage where updated_at is null)) as newest,
             least((select min(updated_at) from task_usage where updated_at >= s.watermark),
                   (select min(created_at) from task_usage where updated_at is null and created_at >= s.watermark)) as waiting
      from (
{{template "state_row"}}) s) x
