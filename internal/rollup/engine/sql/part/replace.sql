  -- part: replaces what is there. A row that is right already is left alone: no dead tuple for nothing.
  on conflict on constraint uq_task_usage_hourly_key do update
  set {{.Assignments}},
      updated_at = excluded.updated_at
  where ({{.Counters "h"}})
     is distinct from ({{.Counters "excluded"}})
