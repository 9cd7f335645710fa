-- Events at or after the watermark, counted to a bound, and the first of them (bounded, since
-- it may be infinite). $1 watermark, $2 bound.
-- Served by the indexes on (updated_at) and (created_at) where updated_at is null.
select n, case when at is not null then least(greatest(at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end
from (select (select count(*) from (select from task_usage where updated_at >= $1 limit $2) w)
             + (select count(*) from (select from task_usage where updated_at is null and created_at >= $1 limit $2) w) as n,
             least((select min(updated_at) from task_usage where updated_at >= $1),
                   (select min(created_at) from task_usage where updated_at is null and created_at >= $1)) as at) x
