-- As history.sql, for bucket hours that have no hourly row yet: a plain insert
-- takes a tenth less. Should one be there all the same (nobody may write the
-- table without lock 4246), the unique key refuses the slice and it is tried again.
-- include history
written as (
-- include insert
  returning 1
)
select (select count(*) from written), (select coalesce(sum(events), 0) from counted)::bigint
