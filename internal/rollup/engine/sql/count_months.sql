-- The usage rows that the set engine reads for a pass, by the month of their
-- bucket hour: those created in it, and those of older hours that were corrected
-- in it, as far as they have the models of the corrections.
-- $1 from, $2 to, $3 start of the pass: hours created in [$3, $1) were read in it
-- with their corrections.
with corrected as (
  select date_trunc('hour', created_at, 'UTC') as hour, array_agg(distinct model) as models
  from task_usage
  where $3 > (select min(created_at) from task_usage) -- else there are none, and nothing is read for it
    and updated_at >= $1 and updated_at < $2 and created_at < $3
    and created_at >= '0002-01-01 00:00:00+00' -- no month can name what is before, or infinite
  group by 1
)
select month, sum(rows)::bigint
from (
  select date_trunc('month', created_at, 'UTC') as month, count(*) as rows
  from task_usage
  where created_at >= $1 and created_at < $2
  group by 1
  union all
  select date_trunc('month', c.hour, 'UTC'), (
    select count(*) from task_usage u
    where u.created_at >= c.hour and u.created_at < c.hour + interval '1 hour' and u.created_at < $3
      and u.model = any (c.models))
  from corrected c
) m
group by 1
order by 1
