-- Whether a task can be without a runtime (Multica v0.4.17 on). $1 schema. One row.
select coalesce((select not a.attnotnull
                 from pg_class c
                 join pg_namespace n on n.oid = c.relnamespace
                 join pg_attribute a on a.attrelid = c.oid
                 where n.nspname = $1::text and c.relname = 'agent_task_queue' and a.attname = 'runtime_id'), false)
