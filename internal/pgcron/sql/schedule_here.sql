-- Schedules a job for the database at hand. $1 name, $2 schedule, $3 command.
select cron.schedule($1::text, $2::text, $3::text)
