-- Whether PostgreSQL has a time zone of this name. It would take FOO3 as well, for an offset.
-- $1 name. One row: known. UTC is always there, and reading all zones takes a tenth of a second.
select $1::text = 'UTC' or exists (select from pg_timezone_names where name = $1::text)
