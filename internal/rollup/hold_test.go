package rollup_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/throttle"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)

// throttled has an agent do backfills by a [backfill] section, in slices of so many usage rows.
func throttled(t testing.TB, db *labtest.DB, engine string, rows int, c config.Backfill, now func() time.Time) *agent {
	t.Helper()
	a := newAgent(t, db, engine)
	th, err := throttle.New(c, slog.New(slog.DiscardHandler), now)
	if err != nil {
		t.Fatal(err)
	}
	a.opts.Command, a.opts.Throttle, a.opts.FixedSize = "backfill", th, rows
	return a
}

// backfillOf plans as the command does and carries it out.
func (a *agent) backfillOf(ctx context.Context, o rollup.BackfillOptions) *report.State {
	a.t.Helper()
	w := a.walker()
	defer w.Close(context.Background())
	o.CountLater = true
	plan, err := w.PlanBackfill(ctx, o)
	if err == nil {
		err = w.Backfill(ctx, plan, o)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return w.State()
}

func TestTheFirstSliceAndTheCountWaitForTheThrottle(t *testing.T) {
	for _, engine := range engines {
		db, _ := history(t)
		a := throttled(t, db, engine, 8, config.Backfill{Window: "22:00-06:00"}, func() time.Time { return noon })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var said string
		a.opts.Observe = func(st *report.State) {
			if st.Throttle != "" {
				said = st.Throttle
				cancel()
			}
		}
		st := a.backfillOf(ctx, rollup.BackfillOptions{Begins: func() { t.Error("it began outside of its window") }})
		if said == "" || st.Outcome != report.Interrupted || st.Slices > 0 || st.Progress != nil {
			t.Errorf("%s: said %q, outcome %q after %d slices, progress %v; want it to wait before anything", engine, said, st.Outcome, st.Slices, st.Progress)
		}
		if len(a.places()) != 1 {
			t.Errorf("%s: it keeps no place, so nothing goes on with it after a reboot", engine)
		}
	}
}

func TestNothingIsWaitedForWhenNothingIsLeftToDo(t *testing.T) {
	for _, engine := range engines {
		db, _ := history(t)
		now := noon
		a := throttled(t, db, engine, 1000, config.Backfill{Window: "11:00-13:00"}, func() time.Time { return now })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		a.opts.Observe = func(st *report.State) {
			if st.Slices > 0 {
				now = noon.Add(3 * time.Hour)
			}
			if st.Throttle != "" {
				t.Errorf("%s: waits after %d slices: %s", engine, st.Slices, st.Throttle)
				cancel()
			}
		}
		if st := a.backfillOf(ctx, rollup.BackfillOptions{}); st.Outcome != report.Current || now.Equal(noon) {
			t.Errorf("%s: outcome %q", engine, st.Outcome)
		}
		exact(t, db.Conn)
	}
}

func TestPausesAreBetweenTwoSlicesOnly(t *testing.T) {
	for _, c := range []struct {
		name  string
		rows  int
		later bool // usage comes for a leg after the pass
		want  int
	}{
		{"one slice", 1000, false, 0},
		{"one slice and a second leg", 1000, true, 1},
		{"three slices", 8, false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, _ := history(t)
			a := throttled(t, db, "set", c.rows, config.Backfill{SleepBetweenSlices: time.Second}, time.Now).atOnce()
			pauses, written := 0, false
			var said string
			a.opts.Observe = func(st *report.State) {
				if st.Throttle != said && strings.HasPrefix(st.Throttle, "pausing 1s") {
					pauses++
				}
				said = st.Throttle
				if c.later && st.Slices > 0 && !written {
					written = true
					writeUsage(t, db.Conn)
				}
			}
			st := a.backfillOf(t.Context(), rollup.BackfillOptions{})
			if st.Outcome != report.Current || pauses != c.want {
				t.Errorf("outcome %q after %d pauses in %d transactions, want %d pauses", st.Outcome, pauses, st.Slices, c.want)
			}
			exact(t, db.Conn)
		})
	}
}

func TestEveryLossWithinOneWaitIsWaitedFor(t *testing.T) {
	db, _ := history(t)
	for range 2 { // the load that is waited for, until the second loss is made up for
		conn := db.Connect(t)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() {
			_, err := conn.Exec(ctx, "select pg_sleep(3600) /* load */")
			ended <- err
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err == nil {
				t.Error("the load ended before the test")
			}
		})
	}
	waitFor(t, "the load", func() bool {
		return get[int](t, db.Conn, "select count(*)::int from pg_stat_activity where state = 'active' and query like '%/* load */'") >= 2
	})
	a := throttled(t, db, "set", 1000, config.Backfill{MaxActive: 1}, time.Now)
	a.opts.Reconnect = labtest.Guard
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	losses, seen := 0, 0
	a.opts.Observe = func(st *report.State) {
		if !strings.Contains(st.Throttle, "sessions are active") {
			return
		}
		if seen++; losses < 2 {
			losses += int(get[int64](t, db.Conn, "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity where application_name = 'multica-rollup/test' and datname = current_database()"))
		} else if seen > 2 {
			cancel()
		}
	}
	if st := a.backfillOf(ctx, rollup.BackfillOptions{}); st.Outcome != report.Interrupted || losses != 2 {
		t.Errorf("outcome %q after %d losses, want it to wait on", st.Outcome, losses)
	}
}

func TestALostDatabaseIsShownUntilItAnswersAgain(t *testing.T) {
	for _, engine := range engines {
		db, _ := history(t)
		a := newAgent(t, db, engine)
		a.opts.Command, a.opts.FixedSize = "backfill", 8
		ended, shown := int64(0), ""
		a.opts.Observe = func(st *report.State) {
			if st.Slices == 1 && ended == 0 {
				ended = get[int64](t, db.Conn, "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity where application_name = 'multica-rollup/test' and datname = current_database()")
			}
			if st.Blocked != "" {
				shown = st.Line()
			}
			if st.Slices > 1 && st.Waits() != "" {
				t.Errorf("%s: after slice %d it still shows %q", engine, st.Slices, st.Line())
			}
		}
		st := a.backfillOf(t.Context(), rollup.BackfillOptions{})
		if st.Outcome != report.Current || ended != 1 || !strings.HasPrefix(shown, "waiting: the database does not answer: ") || strings.Contains(shown, "left") {
			t.Errorf("%s: outcome %q after %d losses, shown as %q", engine, st.Outcome, ended, shown)
		}
		exact(t, db.Conn)
	}
}

func TestWhoHoldsTheLockIsShownAndLoggedOnce(t *testing.T) {
	for _, engine := range engines {
		db, _ := history(t)
		tx, _ := open(t, db)
		pid := get[int](t, tx.Conn(), "select pg_backend_pid() from pg_advisory_xact_lock(4246)")
		want := fmt.Sprintf("waiting: for lock 4246, held by pid %d", pid)
		a := newAgent(t, db, engine)
		var log strings.Builder
		entries := func() int { return strings.Count(log.String(), strings.Replace(want, ":", "", 1)) }
		a.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
		a.opts.Command, a.opts.Walk.LockTimeout, a.opts.LockPatience, a.opts.LockTold = "backfill", 50*time.Millisecond, time.Minute, 200*time.Millisecond
		shown, since := "", 0
		a.opts.Observe = func(st *report.State) {
			if st.Blocked == "" {
				return
			}
			shown = st.Line()
			if entries() > 0 {
				since++
			}
			if since == 3 { // tries after the entry
				if err := tx.Rollback(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
		st := a.backfillOf(t.Context(), rollup.BackfillOptions{})
		if st.Outcome != report.Current || !strings.HasPrefix(shown, want) || st.Blocked != "" {
			t.Errorf("%s: outcome %q, shown as %q, want %q", engine, st.Outcome, shown, want)
		}
		if n := entries(); n != 1 {
			t.Errorf("%s: %d entries name the holder, want one: %s", engine, n, &log)
		}
		exact(t, db.Conn)
	}
}
