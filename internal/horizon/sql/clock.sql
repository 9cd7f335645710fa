-- The database's clock, and when its server was started. Within a transaction pg_stat_activity shows what the
-- first look at it saw: the third column, which says nothing, has the next look see what is there then.
select clock_timestamp(), pg_postmaster_start_time(), pg_stat_clear_snapshot()::text
