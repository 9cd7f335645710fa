-- Whether there is usage that was corrected before it was created, which no
-- release writes but an import may. Reads task_usage once, at the beginning of a pass.
select exists (select from task_usage where updated_at < created_at)
