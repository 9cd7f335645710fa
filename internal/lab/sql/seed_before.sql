-- Before seeding, in its transaction: no trigger and no foreign key runs for each row, since the
-- rows are consistent by construction. Needs a superuser.
SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off
