-- Calls nothing, and needs the right to call the database's window function.
select rollup_task_usage_hourly_window(now(), now()) where false
