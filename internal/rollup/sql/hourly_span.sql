-- The first and the last bucket hour of the hourly table; NULLs where it is empty. Bounded, since they may be infinite.
-- Both ends of the unique index.
select case when first is not null then greatest(first, '0002-01-01 00:00:00+00') end,
       case when last is not null then least(last, '9998-01-01 00:00:00+00') end
from (select min(bucket_hour) as first, max(bucket_hour) as last from task_usage_hourly) h
