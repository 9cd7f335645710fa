-- Schedules a job that runs as another role, which takes a superuser. $1 name, $2 schedule, $3 command, $4 database, $5 role.
select cron.schedule_in_database($1::text, $2::text, $3::text, $4::text, $5::text)
