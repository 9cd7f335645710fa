-- The pipeline's state row and the database's clock.
select s.watermark, s.started, s.finished, s.rows, s.last_error, clock_timestamp()
from (
{{template "state_row"}}) s
