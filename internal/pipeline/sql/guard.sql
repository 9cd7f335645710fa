-- What migration 103's guard compares, and its verdict: newest event, watermark, pass.
-- max(coalesce(updated_at, created_at)) is split in two, so that the indexes on
-- (updated_at) and (created_at) where updated_at is null serve it. Times are
-- bounded, since they may be infinite; NULL where there is no usage, no state row.
select case when n.at is not null then least(greatest(n.at, '0002-01-01 00:00:00+00'), '9998-01-01 00:00:00+00') end,
       s.watermark,
       n.at is null or coalesce(s.unbounded >= n.at - interval '1 hour', false)
from (select greatest((select max(updated_at) from task_usage where updated_at is not null),
                      (select max(created_at) from task_usage where updated_at is null)) as at) n
left join (
{{template "state_row"}}) s on true
