-- Newest event of a database without the hourly tables; NULL where there is no usage.
select case when n.at is not null then least(greatest(n.at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end
from (select greatest((select max(updated_at) from task_usage where updated_at is not null),
                      (select max(created_at) from task_usage where updated_at is null)) as at) n
