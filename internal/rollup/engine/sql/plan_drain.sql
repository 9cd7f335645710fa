-- Where the next slice of the queue ends: the first bucket hour whose usage rows
-- would make it read more than $3, among the next $2 queue rows from hour $1 on.
-- The first hour always fits. Returns that hour or NULL, and the first hour.
with q as (
  select bucket_hour as hour, count(*) as keys
  from (select bucket_hour from task_usage_hourly_dirty where bucket_hour >= $1 order by bucket_hour limit $2) k
  group by 1
), c as (
  select q.hour, sum(r.rows) over w as read, row_number() over w as ordinal
  from q cross join lateral (
    select count(*) as rows from (
      select from task_usage u
      where u.created_at >= q.hour and u.created_at < q.hour + interval '1 hour' limit $3 + 1) x) r
  window w as (order by q.hour)
)
select (select min(hour) from c where read > $3 and ordinal > 1), (select min(hour) from q)
