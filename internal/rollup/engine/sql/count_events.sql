-- The events in [$1, $2), as the database's function comes to them.
select (select count(*) from task_usage where updated_at >= $1 and updated_at < $2)
     + (select count(*) from task_usage where updated_at is null and created_at >= $1 and created_at < $2)
