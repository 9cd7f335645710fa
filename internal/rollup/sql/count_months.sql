-- Usage rows by the month of their bucket hour. $1 from, $2 to.
select date_trunc('month', created_at, 'UTC'), count(*)
from task_usage
where created_at >= $1 and created_at < $2
group by 1
order by 1
