-- A statement that reads, and the server that answers it: in recovery or not, its process, its start;
-- then true with each row of the statement, or one row of NULLs where it has none.
-- The statement keeps its parameters. OFFSET 0 keeps the planner from mixing the two, and each of
-- the functions is called once. No index: what serves the statement serves it here.
select server.*, answer.*
from (select pg_is_in_recovery()::text, pg_backend_pid()::text, extract(epoch from pg_postmaster_start_time())::text) server
left join (select true, rows.* from (
{{.}}
) rows offset 0) answer on true
