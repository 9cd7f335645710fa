package status

import (
	"fmt"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// The thresholds, as the command's help tells them.
const (
	WarnWait  = 15 * time.Minute   // usage that is not rolled up has waited for so long: three ticks
	CritWait  = time.Hour          // the longest that an open transaction may hold the horizon back
	WarnQueue = time.Hour          // the oldest invalidation
	CritQueue = 6 * 24 * time.Hour // Multica's own ticks delete them at seven days
	WarnLock  = 15 * time.Minute   // lock 4246 held by one session
	WarnDebt  = 24 * time.Hour     // a transaction that is still owed
	WarnQuiet = time.Hour          // no run, where no timer and no scheduler is known
)

// judge finds what is amiss, worst first as far as it can be known beforehand.
func judge(s *report.Status, unitsErr error) {
	judgeData(s)
	judgeRuns(s)
	judgeScheduling(s, unitsErr)
	judgeWork(s)
}

func judgeData(s *report.Status) {
	if s.Watermark.After(s.At) {
		s.Find(report.Critical, "multica-rollup run", "the watermark lies in the future: "+report.Stamp(s.Watermark))
	}
	if s.Waiting.Count > 0 {
		switch wait := s.At.Sub(s.Waiting.Oldest); {
		case report.AtEpoch(s.Watermark) && wait > WarnWait:
			hint := "multica-rollup backfill"
			if s.Guard.Pending() {
				hint = "multica-rollup guard --fix"
			}
			s.Find(report.Critical, hint, "nothing is rolled up yet: the watermark is at the epoch")
		case wait > CritWait:
			s.Find(report.Critical, "multica-rollup doctor", "usage has waited to be rolled up for "+report.Span(wait))
		case wait > WarnWait:
			s.Find(report.Warning, "multica-rollup doctor", "usage has waited to be rolled up for "+report.Span(wait))
		}
	}
	if s.Queue.Count > 0 {
		switch age := s.At.Sub(s.Queue.Oldest); {
		case age > CritQueue:
			s.Find(report.Critical, "multica-rollup run", "the oldest invalidation is "+report.Span(age)+" old; at seven days Multica deletes them unprocessed")
		case age > WarnQueue:
			s.Find(report.Warning, "multica-rollup run", "the oldest invalidation is "+report.Span(age)+" old")
		}
	}
	if s.Guard.Pending() && !s.Guard.Pass && !report.AtEpoch(s.Watermark) {
		s.Find(report.Warning, "multica-rollup guard --fix", report.GuardLine(s.Guard))
	}
	nothing := s.Waiting.Count > 0 && report.AtEpoch(s.Watermark) // which says all there is to say
	if u := s.Unproven; u != nil && !nothing {
		hint := "multica-rollup backfill"
		switch {
		case u.Unknown:
			hint = "multica-rollup run"
		case s.Engine != "set":
			hint = "multica-rollup verify"
		}
		s.Find(report.Warning, hint, u.Text())
	}
	if d := s.Drift; d != nil && d.Keys > 0 {
		s.Find(report.Warning, "multica-rollup verify --repair",
			fmt.Sprintf("the last verify (%s) found %s hourly rows wrong", report.Stamp(d.At), report.Count(d.Keys)))
	}
}

func judgeRuns(s *report.Status) {
	hint := "multica-rollup doctor"
	service := ""
	if s.Units != nil && s.Units.Service != nil {
		service = s.Units.Service.Name
		hint = "journalctl -u " + service
	}
	switch r := s.AgentRun; {
	case s.LastRun.Error != "":
		s.Find(report.Critical, hint, "the last run failed: "+s.LastRun.Error)
	case r != nil && !r.OK && r.Finished.After(s.LastRun.Finished):
		s.Find(report.Critical, hint, "the last run failed: "+r.Error)
	case service != "" && s.Units.Service.Failed():
		s.Find(report.Critical, hint, fmt.Sprintf("%s failed: %s, status %d", service, s.Units.Service.Result, s.Units.Service.Exit))
	}
	if s.Units != nil && s.Units.Backfill.Failed() {
		b := s.Units.Backfill
		s.Find(report.Warning, "journalctl -u "+b.Name, fmt.Sprintf("%s failed: %s, status %d", b.Name, b.Result, b.Exit))
	}
}

func judgeScheduling(s *report.Status, unitsErr error) {
	if unitsErr != nil {
		s.Find(report.Warning, "systemctl status multica-rollup.timer", unitsErr.Error())
	}
	other := false
	for _, o := range s.Schedulers {
		other = other || o.Active
		if o.Active && o.LastOK != nil && !*o.LastOK {
			s.Find(report.Warning, "multica-rollup doctor", "the last run of "+o.Title+" failed")
		}
	}
	switch {
	case s.Units != nil && s.Units.Timer != nil:
		t := s.Units.Timer
		switch {
		case t.Masked && !t.Active && !other:
			s.Find(report.Warning, "systemctl unmask "+t.Name+" && systemctl enable --now "+t.Name, t.Name+" is masked, and nobody else schedules the roll-up")
		case !t.Active && !other:
			s.Find(report.Warning, "systemctl enable --now "+t.Name, t.Name+" is not started, and nobody else schedules the roll-up")
		case t.Active && !t.Enabled:
			s.Find(report.Warning, "systemctl enable "+t.Name, t.Name+" will not start at the next boot")
		}
	case other || unitsErr != nil:
	case s.LastRun.Finished.IsZero():
		s.Find(report.Warning, "multica-rollup run", "there has never been a run, and no scheduler is known")
	case s.At.Sub(s.LastRun.Finished) > WarnQuiet:
		s.Find(report.Warning, "multica-rollup run", "there was no run for "+report.Span(s.At.Sub(s.LastRun.Finished))+", and no scheduler is known")
	}
}

func judgeWork(s *report.Status) {
	for _, l := range s.Lock {
		if held := s.At.Sub(l.Since); !l.Since.IsZero() && held > WarnLock {
			s.Find(report.Warning, "multica-rollup doctor", "lock 4246 has been held for "+report.Span(held)+" by "+l.Text)
		}
	}
	if b := s.Backfill; b != nil && !b.Running && !b.Unknown {
		hint := "multica-rollup backfill"
		if s.Units != nil && s.Units.Backfill != nil {
			hint = "systemctl start " + s.Units.Backfill.Name
		}
		s.Find(report.Warning, hint, fmt.Sprintf("a backfill was interrupted at %.1f %%", b.Percent))
	}
	for _, d := range s.Debts {
		if !d.Started.IsZero() && s.At.Sub(d.Started) > WarnDebt {
			s.Find(report.Warning, "multica-rollup doctor", "still owed: what a transaction may write that has been open since "+report.Stamp(d.Started)+": "+d.Description)
		}
	}
}
