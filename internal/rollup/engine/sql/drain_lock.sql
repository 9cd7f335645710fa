-- Locks a bounded number of queue rows, oldest bucket hours first, and returns
-- where they lie. $1 rows at most, $2 and $3 bounds on the bucket hour.
-- Rows that another transaction is changing are left to a later slice.
-- Served by the queue's unique key, which begins with bucket_hour.
select ctid::text, bucket_hour
from task_usage_hourly_dirty
where bucket_hour >= $2 and bucket_hour < $3
order by bucket_hour
limit $1
for update skip locked
