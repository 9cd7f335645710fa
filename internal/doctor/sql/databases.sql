-- Other databases of this server that our role may connect to. $1 at most that many.
select datname::text
from pg_database
where datallowconn and not datistemplate and datname <> current_database()
  and has_database_privilege(datname, 'connect')
order by (datname ilike '%multica%') desc, datname
limit $1
