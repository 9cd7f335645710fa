-- The settings of the report's transaction. No name is looked up where a table's owner could have put an
-- operator or a function of the same name, and a policy that would hide rows is an error, not a smaller figure.
set local search_path = pg_catalog, pg_temp;
set local row_security = off;
-- The planner takes the local dates of a year for as many as the rows have instants, and would sort all rows by them: three
-- times the work of a hash table, which goes to disk where it outgrows work_mem.
set local enable_sort = off;
set local work_mem = '32MB'
