-- Rolls up the events of one slice: reads every usage row of the bucket hours
-- they touch once, goes on with those of the models they touch, since a key has
-- one model, and writes those hourly rows that changed.
-- $1 from, $2 to: the slice, by event time (updated_at, or created_at where that is NULL).
-- $3 start of the pass: hours created in [$3, $1) were read in this pass and hold nothing new.
-- $4 end of the pass: a key is dirty when one of its rows has an event in [$1, $4).
-- $5 the bucket hours to read (timestamptz[]), where they are known: a part of
-- those that the events of one moment touch. NULL: those of the slice's events.
-- Returns hourly rows written, usage rows counted.
-- LATERAL with OFFSET 0 keeps the plan on the indexes (task_usage by created_at,
-- tasks and issues by primary key) whatever the estimates say.
-- Lines that end in "-- 213" are for databases with the cost columns.
-- include events
), wanted as (
  select * from counted where dirty
),
written as (
-- include insert
-- include replace
  returning 1
)
select (select count(*) from written), (select coalesce(sum(events), 0) from counted)::bigint
