-- Rolls up the events of one slice again, which may have been moved to other keys unseen since: as
-- slice.sql, whose parameters it has, and removes from the bucket hours and models that they touch
-- the hourly rows of keys that have no usage any more.
-- Returns hourly rows written, hourly rows deleted, usage rows counted.
-- include events
-- include reconcile
)
select (select count(*) from written), (select count(*) from gone), (select coalesce(sum(events), 0) from counted)::bigint
