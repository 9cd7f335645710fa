-- Where default_transaction_read_only was set, where it is on: its source, the file and line of it (NULL
-- without pg_read_all_settings), the role of the login and the database, whose settings it may be.
-- No row where it is off.
select source, coalesce(sourcefile, ''), coalesce(sourceline, 0), session_user::text, current_database()::text
from pg_settings
where name = 'default_transaction_read_only' and setting = 'on'
