-- The server of a transaction: in recovery or not, its process, its start. As proven.sql has it of each
-- answer, in text that no setting changes.
select pg_is_in_recovery()::text, pg_backend_pid()::text, extract(epoch from pg_postmaster_start_time())::text
