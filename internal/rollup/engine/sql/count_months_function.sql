-- The events that the database's function works off for a pass, by month. $1 from, $2 to.
select date_trunc('month', coalesce(updated_at, created_at), 'UTC'), count(*)
from task_usage
where coalesce(updated_at, created_at) >= $1 and coalesce(updated_at, created_at) < $2
group by 1
order by 1
