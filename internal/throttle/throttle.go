// Package throttle holds a backfill back between its slices, while the
// database has better things to do. Each way of holding back shows its reason;
// one that cannot be read says so once and holds nothing back.
package throttle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// poll is how often a reason to wait is looked at again.
const poll = 2 * time.Second

// telling is how often a wait that goes on is told to the log.
const telling = 5 * time.Minute

// Throttle applies the [backfill] section of the configuration.
type Throttle struct {
	sleep, maxReplicaLag      time.Duration
	nice                      float64
	maxActive, maxLockWaiters int
	pauseFile                 string
	window                    *Window
	log                       *slog.Logger
	now                       func() time.Time
	unreadable                map[string]bool // signals that were found unreadable
	told                      time.Time
}

// New returns a throttle for the configuration. The error is a problem of kind
// Config where the window cannot be understood.
func New(c config.Backfill, log *slog.Logger, now func() time.Time) (*Throttle, error) {
	window, err := ParseWindow(c.Window)
	if err != nil {
		return nil, err
	}
	return &Throttle{
		sleep: c.SleepBetweenSlices, maxReplicaLag: c.MaxReplicaLag, nice: c.Nice,
		maxActive: c.MaxActive, maxLockWaiters: c.MaxLockWaiters, pauseFile: c.PauseFile,
		window: window, log: log, now: now, unreadable: map[string]bool{},
	}, nil
}

// Rest returns the pause between two slices, of which the first worked for took.
func (t *Throttle) Rest(took time.Duration) time.Duration {
	return max(t.sleep, time.Duration(t.nice*float64(took)))
}

// Wait returns when no signal holds the next slice back any more. It asks the
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

// reason returns why the next slice must wait, "" where nothing holds it back.
// What needs no database is looked at first: it may be down for as long.
func (t *Throttle) reason(ctx context.Context, ask func(func(pg.Querier) error) error) (reason string, err error) {
	if t.pauseFile != "" {
		switch _, err := os.Stat(t.pauseFile); {
		case err == nil:
			return "the pause file " + t.pauseFile + " is there", nil
		case !errors.Is(err, fs.ErrNotExist):
			t.cannotRead("pause file", err)
		}
	}
	if t.window != nil && !t.window.Contains(t.now()) {
		return fmt.Sprintf("outside of the window %s", t.window), nil
	}
	if t.maxActive == 0 && t.maxLockWaiters == 0 && t.maxReplicaLag == 0 {
		return "", nil
	}
	err = ask(func(q pg.Querier) (err error) {
		reason, err = t.load(ctx, q)
		return err
	})
	return reason, err
}

// load returns which of the database's signals holds the next slice back.
func (t *Throttle) load(ctx context.Context, q pg.Querier) (string, error) {
	if t.maxActive > 0 {
		n, err := t.active(ctx, q)
		if err != nil || n > t.maxActive {
			return fmt.Sprintf("%d sessions are active, at most %d are wanted", n, t.maxActive), err
		}
	}
	if t.maxLockWaiters > 0 {
		var n int
		err := t.readable("sessions waiting on locks", q.QueryRow(ctx, statement("waiters")).Scan(&n))
		if err != nil || n > t.maxLockWaiters {
			return fmt.Sprintf("%d sessions wait on locks, at most %d are wanted", n, t.maxLockWaiters), err
		}
	}
	if t.maxReplicaLag > 0 {
		return t.replicaLag(ctx, q)
	}
	return "", nil
}

// active counts the active sessions that can be seen.
func (t *Throttle) active(ctx context.Context, q pg.Querier) (int, error) {
	const signal = "active sessions"
	var n, hidden int
	if err := q.QueryRow(ctx, statement("active")).Scan(&n, &hidden); err != nil {
		return 0, t.readable(signal, err)
	}
	if hidden > 0 {
		t.cannotRead(signal, errors.New("what other roles' sessions do is hidden from this role: grant pg_read_all_stats"))
	}
	return n, nil
}

func (t *Throttle) replicaLag(ctx context.Context, q pg.Querier) (string, error) {
	const signal = "replica lag"
	var standbys, hidden int
	var seconds float64
	err := q.QueryRow(ctx, statement("replica_lag")).Scan(&standbys, &hidden, &seconds)
	if err != nil {
		return "", t.readable(signal, err)
	}
	if hidden > 0 {
		t.cannotRead(signal, errors.New("pg_stat_replication is hidden from this role: grant pg_monitor"))
	}
	if lag := time.Duration(seconds * float64(time.Second)); lag > t.maxReplicaLag {
		return fmt.Sprintf("a replica lags by %s, at most %s is wanted", lag.Round(time.Second), t.maxReplicaLag), nil
	}
	return "", nil
}

// readable passes on what ends the work (a lost connection, the end of ctx) and swallows a refusal.
func (t *Throttle) readable(signal string, err error) error {
	if err == nil {
		return nil
	}
	if pg.SQLState(err) == "" || pg.IsLost(err) {
		return fmt.Errorf("reading %s: %w", signal, err)
	}
	t.cannotRead(signal, err)
	return nil
}

func (t *Throttle) cannotRead(signal string, err error) {
	if t.unreadable[signal] {
		return
	}
	t.unreadable[signal] = true
	t.log.Warn("cannot read the signal "+signal+"; it holds nothing back", journal.BackfillThrottled.Attr(), journal.Reason(err.Error()))
}

// Window is a daily span of local time, such as 22:00-06:00.
type Window struct {
	from, to int // minutes after midnight; from > to spans midnight
	text     string
}

// ParseWindow reads "HH:MM-HH:MM"; nil for "". The error is a problem of kind Config.
func ParseWindow(s string) (*Window, error) {
	if s == "" {
		return nil, nil
	}
	bad := problem.New(problem.Config, "write it as 22:00-06:00, in local time", "backfill.window %q is not a span of the day", s)
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return nil, bad
	}
	a, errA := time.Parse("15:04", strings.TrimSpace(from))
	b, errB := time.Parse("15:04", strings.TrimSpace(to))
	if errA != nil || errB != nil || a.Equal(b) {
		return nil, bad
	}
	return &Window{from: a.Hour()*60 + a.Minute(), to: b.Hour()*60 + b.Minute(), text: s}, nil
}

// Contains says whether t, in its own location, lies within the window.
func (w *Window) Contains(t time.Time) bool {
	m := t.Hour()*60 + t.Minute()
	if w.from < w.to {
		return m >= w.from && m < w.to
	}
	return m >= w.from || m < w.to
}

// String returns the window as it was written.
func (w *Window) String() string { return w.text }
