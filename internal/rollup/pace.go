package rollup

import "time"

// recent is how far back the pace is measured: long enough for some slices,
// short enough to follow a database that gets slower.
const recent = 2 * time.Minute

// pace is how fast a backfill gets on, by a clock that stands while it has to
// wait; the pauses between slices are its own and count.
type pace struct {
	since time.Time     // when the clock started to run; zero while it stands
	ran   time.Duration // by then
	marks []mark        // of the recent past, and the last from before it
}

// mark is how many rows were done at a time of the pace's clock.
type mark struct {
	at   time.Duration
	done int64
}

// begin starts the clock.
func (p *pace) begin(now time.Time, done int64) {
	*p = pace{since: now, marks: []mark{{done: done}}}
}

// stand stops the clock, or lets it run on.
func (p *pace) stand(now time.Time, stand bool) {
	switch {
	case stand && !p.since.IsZero():
		p.ran, p.since = p.clock(now), time.Time{}
	case !stand && p.since.IsZero():
		p.since = now
	}
}

func (p *pace) clock(now time.Time) time.Duration {
	if p.since.IsZero() {
		return p.ran
	}
	return p.ran + now.Sub(p.since)
}

// reach notes how many rows are done, and the pause that they have cost
// already, and returns the rows a second of the recent past.
func (p *pace) reach(now time.Time, done int64, rest time.Duration) float64 {
	at := p.clock(now) + rest
	for len(p.marks) > 1 && at-p.marks[1].at >= recent {
		p.marks = p.marks[1:]
	}
	p.marks = append(p.marks, mark{at, done})
	first := p.marks[0]
	if at <= first.at {
		return 0
	}
	return float64(done-first.done) / (at - first.at).Seconds()
}
