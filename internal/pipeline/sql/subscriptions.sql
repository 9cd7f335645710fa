-- The tables of the pipeline that a logical subscription feeds, partitions included. $1 their names (text[]).
-- pg_subscription_rel is found by its index on (srrelid, srsubid). Everybody may read it, and of
-- pg_subscription all but where it leads.
-- One row each: table, subscription, whether it is enabled.
select distinct w.name, s.subname::text, s.subenabled
from unnest($1::text[]) as w(name)
cross join lateral (select to_regclass(quote_ident(w.name))::oid
                    union
                    select relid from pg_partition_tree(to_regclass(quote_ident(w.name)))) as t(oid)
join pg_subscription_rel r on r.srrelid = t.oid
join pg_subscription s on s.oid = r.srsubid
order by 1, 2
