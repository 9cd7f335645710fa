-- Which columns of names there are, and which of them our role may read.
-- $1 schema, $2 tables and $3 columns (arrays of one length). One row a column: table, column, there, readable.
-- Where a policy hides rows, what is not seen is not deleted: then the column counts as not readable.
select w.t, w.c, a.attnum is not null,
       coalesce(has_column_privilege(c.oid, a.attnum, 'select') and not row_security_active(c.oid), false)
from unnest($2::text[], $3::text[]) as w (t, c)
left join pg_namespace n on n.nspname = $1::text
left join pg_class c on c.relnamespace = n.oid and c.relname = w.t
left join pg_attribute a on a.attrelid = c.oid and a.attname = w.c and a.attnum > 0 and not a.attisdropped
