-- The database's clock, and when its server was started.
select clock_timestamp(), pg_postmaster_start_time()
