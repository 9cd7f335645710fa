-- What things are called: the rows of a table by their ids, or by their names.
-- :table is the table; :name, :slug, :kind and :archived_at are columns of t, or null where there is none or our role may not read it.
-- $1 ids, $2 names (arrays). One row a thing: id, name, slug, kind, whether it was archived. By primary key, or a read of the whole (small) table.
select t.id::text, (:name)::text, (:slug)::text, (:kind)::text, (:archived_at)::text is not null
from {{.Schema}}.:table t
where t.id = any ($1::uuid[]) or (:name)::text = any ($2::text[]) or (:slug)::text = any ($2::text[])
