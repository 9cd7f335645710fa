-- Rolls up whole bucket hours of history, as slice.sql does, but by one range
-- of creation times and joins as the planner likes them: for slices of tens of
-- thousands of rows, hash joins read the other tables faster than look-ups.
-- $1 from: the slice's beginning, $2 end of the pass: a key is dirty when one of
-- its rows has an event in between. $3, $4: the slice's bucket hours, the first
-- inclusive, the last exclusive.
-- Returns hourly rows written, usage rows read.
-- include history
written as (
-- include insert
-- include replace
  returning 1
)
select (select count(*) from written), (select coalesce(sum(events), 0) from counted)::bigint
