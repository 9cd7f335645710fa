-- The queue rows that the database's function takes along with a window that ends at $1.
-- Served by the queue's index on enqueued_at.
select count(*) from task_usage_hourly_dirty where enqueued_at < $1
