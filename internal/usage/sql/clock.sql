-- Today's date in a time zone, and up to where usage is rolled up.
-- $1 time zone. One row, none without a state row: today (YYYY-MM-DD), the watermark, the watermark's local time.
select to_char(now() at time zone $1::text, 'YYYY-MM-DD'), s.watermark, s.watermark at time zone $1::text
from (
{{template "state_row" .Schema}}) s
