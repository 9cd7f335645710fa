-- The oldest and the newest event of raw usage; NULLs where there is none.
-- Served by the indexes on updated_at and created_at, the partial one among them.
select least((select min(updated_at) from task_usage where updated_at is not null),
             (select min(created_at) from task_usage where updated_at is null)),
       greatest((select max(updated_at) from task_usage where updated_at is not null),
                (select max(created_at) from task_usage where updated_at is null)),
       (select min(created_at) from task_usage)
