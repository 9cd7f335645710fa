-- As history.sql, for bucket hours that have no hourly row yet: a plain insert
-- takes a tenth less. Should one be there all the same (nobody may write the
-- table without lock 4246), the unique key refuses the slice and it is tried again.
-- Returns as history.sql does.
{{template "history_counted" .}}
), wanted as (
  select * from counted
), written as (
{{template "insert" .}}
  returning 1
)
select (select count(*) from written), 0::bigint, (select coalesce(sum(event_count), 0) from counted)::bigint
