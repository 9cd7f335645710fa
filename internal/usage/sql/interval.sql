-- The instants that belong to local dates.
-- $1 time zone, $2 first date, $3 last date.
-- One row: the first instant of the first date; the first instant after the last date; then four bounds: no instant of
-- the dates is before the first bound, or at or after the second; every instant from the third bound to the fourth is of the dates.
-- Where a midnight comes twice PostgreSQL takes the second, so earlier instants are tried. The bounds keep away from both
-- ends by two days: some zones have skipped a whole one.
select coalesce((select min(t) from generate_series(m.f - interval '3 hours', m.f, interval '15 minutes') as t
                 where (t at time zone $1::text)::date >= $2::date), m.f),
       coalesce((select min(t) from generate_series(m.u - interval '3 hours', m.u, interval '15 minutes') as t
                 where (t at time zone $1::text)::date > $3::date), m.u),
       m.f - interval '48 hours', m.u + interval '48 hours', m.f + interval '48 hours', m.u - interval '48 hours'
from (select $2::date::timestamp at time zone $1::text as f,
             ($3::date + 1)::timestamp at time zone $1::text as u) m
