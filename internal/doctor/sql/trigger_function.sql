-- The function of a trigger that is gone, and whether its siblings fire before the change.
-- $1 the trigger's name. A function that serves no other trigger, returns trigger and
-- is named after it; NULL where there is none or more than one.
select (select case when count(*) = 1 then min(format('%I.%I', n.nspname, p.proname)) end
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        where p.prorettype = 'trigger'::regtype
          and pg_function_is_visible(p.oid)
          and p.proname in ($1::text, replace($1::text, 'trg_', ''), replace($1::text, 'trg_', 'fn_'), $1::text || '_fn')
          and not exists (select from pg_trigger t where t.tgfoid = p.oid)),
       (select case when count(distinct t.tgtype::int & 2) = 1 then bool_and(t.tgtype::int & 2 <> 0) end
        from pg_trigger t
        where t.tgname in ('trg_atq_dirty_hourly', 'trg_issue_project_dirty_hourly', 'trg_issue_delete_dirty_hourly', 'trg_tu_dirty_hourly')
          and not t.tgisinternal)
