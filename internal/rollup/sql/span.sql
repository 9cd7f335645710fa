-- The oldest and the newest event and the oldest creation time of raw usage; NULLs where there is
-- none. Times are bounded, since they may be infinite.
-- Served by the indexes on updated_at and created_at, the partial one among them.
select case when oldest is not null then least(greatest(oldest, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       case when newest is not null then least(greatest(newest, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       case when created is not null then least(greatest(created, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end
from (select least((select min(updated_at) from task_usage where updated_at is not null),
                   (select min(created_at) from task_usage where updated_at is null)) as oldest,
             greatest((select max(updated_at) from task_usage where updated_at is not null),
                      (select max(created_at) from task_usage where updated_at is null)) as newest,
             (select min(created_at) from task_usage) as created) s
