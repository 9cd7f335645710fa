         -- part: the counters of one key, over usage rows u. task_usage is unique
         -- by (task_id, provider, model), so a key has one row a task.
         {{.Sums}}
