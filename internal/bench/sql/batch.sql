-- Corrects $1 usage rows from all over history in one statement, all with one updated_at, as
-- Multica's maintenance commands do. Returns the rows corrected.
with c as (
  update task_usage set output_tokens = output_tokens + 1, updated_at = now() - interval '6 minutes'
  where id in (select id from task_usage order by id limit $1)
  returning 1
)
select count(*) from c
