-- Where the next slice of a pass over the whole history ends: the creation
-- time of the $2-th usage row from $1 on. One walk along the index on created_at.
select created_at from task_usage where created_at >= $1 order by created_at offset $2 limit 1
