// Package throttle pauses a backfill between its slices, while the database has
// better things to do: one file a signal, all of them in the table signals.
package throttle

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// poll is how often a reason to wait is looked at again.
const poll = 2 * time.Second

// telling is how often a wait that continues is logged again.
const telling = 5 * time.Minute

// Throttle applies the [backfill] section of the configuration.
type Throttle struct {
	// Warn is told of each signal that cannot be read, once, for reports beside
	// the log. It may be nil.
	Warn func(text string)

	sleep   time.Duration
	nice    float64
	signals []signal // that are configured
	log     *slog.Logger
	now     func() time.Time
	warned  map[string]bool // signals that were found unreadable, by key
	told    time.Time
}

// New returns a throttle for the configuration. The error is a problem of kind
// Config where the window cannot be understood, or no file can be the pause file.
func New(c config.Backfill, log *slog.Logger, now func() time.Time) (*Throttle, error) {
	t := &Throttle{sleep: c.SleepBetweenSlices, nice: c.Nice, log: log, now: now, warned: map[string]bool{}}
	for _, configure := range signals {
		s, err := configure(c)
		if err != nil {
			return nil, err
		}
		if s.on {
			t.signals = append(t.signals, s)
		}
	}
	return t, nil
}

// Rest returns the pause between two slices, of which the first worked for took.
func (t *Throttle) Rest(took time.Duration) time.Duration {
	return max(t.sleep, time.Duration(t.nice*float64(took)))
}

// Wait returns when no signal pauses the backfill any more. It asks the
// database, where it has to, through ask: each time anew, so that no wait is
// longer than what a lost connection is granted. say is told each reason, and ""
// when it is over.
func (t *Throttle) Wait(ctx context.Context, ask func(func(pg.Querier) error) error, say func(string)) error {
	waited := false
	defer func() {
		if waited {
			say("")
		}
	}()
	for {
		reason, err := t.reason(ctx, ask)
		if err != nil || reason == "" {
			return err
		}
		if !waited || t.now().Sub(t.told) >= telling {
			t.log.Info("the backfill waits: "+reason, journal.BackfillThrottled.Attr(), journal.Reason(reason))
			t.told = t.now()
		}
		waited = true
		say(reason)
		if err := pause.For(ctx, poll); err != nil {
			return err
		}
	}
}

// reason returns why the next slice must wait, "" where nothing pauses it. Every
// signal is read, so that one that cannot be read is known while another pauses;
// only the database is left alone while the host pauses: it may be down for as long.
func (t *Throttle) reason(ctx context.Context, ask func(func(pg.Querier) error) error) (string, error) {
	reason, database := "", false
	for _, s := range t.signals {
		if s.host == nil {
			database = true
			continue
		}
		reason = first(reason, t.note(s, s.host(t.now())))
	}
	if reason != "" || !database {
		return reason, nil
	}
	err := ask(func(q pg.Querier) error {
		reason = "" // of a connection that was lost
		for _, s := range t.signals {
			if s.database == nil {
				continue
			}
			r, err := s.database(ctx, q)
			if err != nil && (ctx.Err() != nil || pg.SQLState(err) == "" || pg.IsLost(err)) {
				return fmt.Errorf("reading %s: %w", s.name, err)
			}
			if err != nil { // the server refuses
				r = reading{unread: err.Error()}
			}
			reason = first(reason, t.note(s, r))
		}
		return nil
	})
	return reason, err
}

// note warns of what cannot be read, once a signal, and returns the reason to wait.
func (t *Throttle) note(s signal, r reading) (reason string) {
	if r.unread == "" || t.warned[s.key] {
		return r.reason
	}
	t.warned[s.key] = true
	text := fmt.Sprintf("cannot read the signal %s (backfill.%s), so only what can be read pauses the backfill", s.name, s.key)
	t.log.Warn(text, journal.SignalUnreadable.Attr(), journal.Reason(r.unread))
	if t.Warn != nil {
		t.Warn(text + ": " + r.unread)
	}
	return r.reason
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
