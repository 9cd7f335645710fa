-- Rolls up whole bucket hours of history that have hourly rows, and reconciles those: what is right
-- already is left alone, and rows whose agent exists and that no usage adds up to are deleted. It reads one
-- range of creation times with joins as the planner likes them: for slices of tens of thousands
-- of rows, hash joins read the other tables faster than look-ups.
-- $1, $2: the slice's bucket hours, the first inclusive, the last exclusive.
-- Returns hourly rows written, hourly rows deleted, usage rows read.
{{template "history_counted" .}}
), touched as materialized (
  -- An hour without any usage is left alone: its hourly rows may be an archive of usage that was pruned.
  select distinct date_trunc('hour', created_at, 'UTC') as hour, null::uuid[] as agents, null::text[] as models
  from task_usage
  where created_at >= $1 and created_at < $2
{{template "reconcile" .}}
)
select (select count(*) from written), (select count(*) from gone), (select coalesce(sum(event_count), 0) from counted)::bigint
