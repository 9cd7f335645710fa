  -- part: inserts the hourly rows of the CTE wanted.
  insert into task_usage_hourly as h ({{.Key ""}}, {{.Counters ""}}, updated_at)
  select {{.Key "w"}}, {{.Counters "w"}}, now()
  from wanted w
