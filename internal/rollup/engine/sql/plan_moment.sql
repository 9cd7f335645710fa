-- The bucket hours that a slice of one moment's events reads, with the usage
-- rows each holds, in order. $1 from, $2 to, $3 start of the pass: as in slice.sql.
select h.hour, (select count(*) from task_usage u
                where u.created_at >= h.hour and u.created_at < h.hour + interval '1 hour')
from (
  select distinct date_trunc('hour', created_at, 'UTC') as hour from (
    select created_at from task_usage where created_at >= $1 and created_at < $2
    union all
    select created_at from task_usage
    where updated_at >= $1 and updated_at < $2 and not (created_at >= $3 and created_at < $2)) e
) h
order by h.hour
