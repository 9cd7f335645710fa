package rollup

import (
	"testing"
	"time"
)

func TestThePaceCountsPausesAndLeavesWaitsOut(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	var p pace
	p.begin(now, 500)
	if got := p.reach(after(time.Second), 1500, 3*time.Second); got != 250 {
		t.Errorf("1,000 rows in a second, and three of pause: %v rows/s, want 250", got)
	}
	after(3 * time.Second) // the pause
	p.stand(now, true)
	after(time.Hour)
	p.stand(now, true) // another reason, the same wait
	after(time.Hour)
	p.stand(now, false)
	if got := p.reach(after(time.Second), 2500, 3*time.Second); got != 250 {
		t.Errorf("after two hours of waiting: %v rows/s, want 250", got)
	}
}

func TestThePaceIsThatOfTheRecentPast(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var p pace
	p.begin(now, 0)
	var done int64
	var got float64
	for range 600 {
		now, done = now.Add(time.Second), done+1000
		got = p.reach(now, done, 0)
	}
	if got != 1000 {
		t.Errorf("%v rows/s, want 1000", got)
	}
	for range 180 {
		now, done = now.Add(time.Second), done+10
		got = p.reach(now, done, 0)
	}
	if got != 10 || len(p.marks) > 200 {
		t.Errorf("%v rows/s by %d marks three minutes after it slowed down, want 10", got, len(p.marks))
	}
}
