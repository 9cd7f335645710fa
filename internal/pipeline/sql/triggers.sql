-- The triggers that feed the dirty queue, and whether they would fire.
-- One row each: name, table, present, enabled ('O' origin and 'A' always; not 'D' disabled or 'R' replica).
select w.name, w.tab, t.oid is not null, coalesce(t.tgenabled in ('O', 'A'), false)
from (values ('trg_atq_dirty_hourly', 'agent_task_queue'),
             ('trg_issue_project_dirty_hourly', 'issue'),
             ('trg_issue_delete_dirty_hourly', 'issue'),
             ('trg_tu_dirty_hourly', 'task_usage')) as w(name, tab)
left join pg_trigger t on t.tgrelid = to_regclass(quote_ident(w.tab)) and t.tgname = w.name and not t.tgisinternal
order by 1
