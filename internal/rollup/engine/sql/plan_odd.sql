-- Bucket hours at or after $3 with usage that was corrected in [$1, $2): before
-- it was created, which no release writes but an import may. NULL where there are none.
-- One walk along the index on updated_at.
select array_agg(distinct date_trunc('hour', created_at, 'UTC'))
from task_usage
where updated_at >= $1 and updated_at < $2 and created_at >= $3
