-- What moving the watermark from $1 to $2 without a roll-up would leave out:
-- the number of usage rows created before $2 with an event from $1 on that no
-- later slice would come to, and the oldest of them.
select count(*), min(created_at)
from task_usage
where created_at < $2
  and ((updated_at >= $1 and updated_at < $2) or (updated_at is null and created_at >= $1))
