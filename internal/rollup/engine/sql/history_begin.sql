-- Before a slice of history: gives its sorts and hashes some memory, where the
-- server's own work_mem is less, for this transaction; and says whether the
-- bucket hours from $1 to $2 have hourly rows.
select set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')), 32 * 1024 * 1024) / 1024 || 'kB', true),
       exists (select from task_usage_hourly where bucket_hour >= $1 and bucket_hour < $2)
