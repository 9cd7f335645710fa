-- Whether there is usage that should be in a bucket by now, and whether there is any bucket.
-- $1 how old usage has to be, in seconds. Usage of a task without a runtime is in no bucket.
select exists (select from task_usage u
               join agent_task_queue q on q.id = u.task_id
               where q.runtime_id is not null and u.created_at < now() - make_interval(secs => $1)),
       exists (select from task_usage_hourly)
