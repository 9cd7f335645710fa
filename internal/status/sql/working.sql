-- Whether a backfill of this program is connected to this database. $1 its application name.
select exists (select from pg_stat_activity where datname = current_database() and application_name = $1)
