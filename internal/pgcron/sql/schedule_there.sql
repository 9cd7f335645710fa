-- Schedules a job for another database. $1 name, $2 schedule, $3 command, $4 database.
select cron.schedule_in_database($1::text, $2::text, $3::text, $4::text)
