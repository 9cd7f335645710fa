-- Removes a job. $1 its id.
select cron.unschedule($1::bigint)
