package rollup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// backfill carries a backfill out in slices of so many usage rows; stopAfter
// interrupts it after so many slices, 0 never.
func (a *agent) backfill(o rollup.BackfillOptions, rows int, stopAfter int64) (*report.State, error) {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.opts.Command, a.opts.Walk.SliceTarget = "backfill", time.Hour
	a.opts.Observe = func(st *report.State) {
		if stopAfter > 0 && st.Slices >= stopAfter {
			cancel()
		}
	}
	w := a.walker()
	defer w.Close(context.Background())
	w.SetSize(rows)
	plan, err := w.PlanBackfill(ctx, o)
	if err != nil {
		return w.State(), err
	}
	return w.State(), w.Backfill(ctx, plan, o)
}

func (a *agent) places() []string {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(a.opts.StateDir, "*.backfill.json"))
	if err != nil {
		a.t.Fatal(err)
	}
	return files
}

func TestABackfillOfEveryGenerationIsExact(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.GenInterrupted} {
		for _, engine := range engines {
			t.Run(string(gen)+"/"+engine, func(t *testing.T) {
				db := labtest.New(t, gen)
				seed(t, db.Conn, lab.Typical(31, 1500))
				a := newAgent(t, db, engine)
				st, err := a.backfill(rollup.BackfillOptions{}, 300, 0)
				if err != nil || st.Outcome != report.Current {
					t.Fatalf("outcome %q, %v", st.Outcome, err)
				}
				exact(t, db.Conn)
				if len(a.places()) != 0 {
					t.Error("a finished backfill left its place behind")
				}
				if usage := get[int64](t, db.Conn, "select count(*) from task_usage"); engine == "set" && st.Read > usage*11/10 {
					t.Errorf("%d usage rows were read for a history of %d", st.Read, usage)
				}
			})
		}
	}
}

func TestAnInterruptedBackfillGoesOnWhereItWas(t *testing.T) {
	for _, engine := range engines {
		for _, rolled := range []bool{false, true} {
			name := engine + "/fresh"
			if rolled {
				name = engine + "/rolled up and damaged"
			}
			t.Run(name, func(t *testing.T) {
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, lab.Typical(32, 1500))
				a := newAgent(t, db, engine)
				if rolled {
					a.run()
					exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1")
				}
				usage := get[int64](t, db.Conn, "select count(*) from task_usage")
				var read int64
				for n := 0; ; n++ {
					st, err := a.backfill(rollup.BackfillOptions{}, 200, 2)
					if err != nil {
						t.Fatal(err)
					}
					read += st.Read
					if st.Outcome == report.Current {
						break
					}
					if st.Outcome != report.Interrupted || len(a.places()) != 1 {
						t.Fatalf("outcome %q with %d places, want interrupted with one", st.Outcome, len(a.places()))
					}
					if n > 40 {
						t.Fatal("the backfill does not get on")
					}
				}
				exact(t, db.Conn)
				if read > usage*3/2 {
					t.Errorf("%d usage rows were read in all for a history of %d", read, usage)
				}
			})
		}
	}
}

func TestABackfillBesideWritersTicksAndTeardownsIsExact(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(33, 1500))
			a := newAgent(t, db, engine).atOnce()
			ctx, cancel := context.WithCancel(t.Context())
			loaded := make(chan error, 1)
			go func() {
				_, err := lab.Load(ctx, db.DSN, lab.LoadOptions{Rate: 200})
				loaded <- err
			}()
			ticked := make(chan error, 1)
			go func() {
				conn := db.Connect(t)
				for ctx.Err() == nil {
					if _, err := conn.Exec(ctx, "select rollup_task_usage_hourly()"); err != nil && ctx.Err() == nil {
						ticked <- err
						return
					}
				}
				ticked <- nil
			}()
			for range 3 {
				if _, err := a.backfill(rollup.BackfillOptions{Restart: true}, 100, 0); err != nil {
					t.Error(err)
				}
			}
			cancel()
			if err := errors.Join(<-loaded, <-ticked); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			a.opts.Observe = nil
			a.run() // what is still owed and queued
			a.run()
			exact(t, db.Conn)
		})
	}
}

func TestAPartialBackfillIsRefusedUnlessForced(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(34, 1000))
	a := newAgent(t, db, "set")
	begin := get[time.Time](t, db.Conn, "select date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' - interval '2 months'")
	left := get[int64](t, db.Conn, "select count(*) from task_usage where created_at < $1 and coalesce(updated_at, created_at) < $1", begin)
	_, err := a.backfill(rollup.BackfillOptions{MonthsBack: 2}, 1000, 0)
	if problem.KindOf(err) != problem.Usage || !strings.Contains(err.Error(), report.Count(left)) || !strings.Contains(problem.HintOf(err), "--force-partial") {
		t.Fatalf("got %v (hint %q), want a refusal that names %d rows and --force-partial", err, problem.HintOf(err), left)
	}
	if watermark(t, db.Conn).Year() != 1970 || len(a.places()) != 0 {
		t.Error("a refused backfill wrote something")
	}
	if _, err := a.backfill(rollup.BackfillOptions{MonthsBack: 2, ForcePartial: true}, 100, 0); err != nil {
		t.Fatal(err)
	}
	diffs, err := lab.Oracle(t.Context(), db.Conn)
	if err != nil {
		t.Fatal(err)
	}
	since := get[int64](t, db.Conn, "select count(*) from task_usage_hourly where bucket_hour >= $1", begin)
	if g := a.memory().GivenUp; g == nil || g.Events != left || !g.Before.Equal(begin) || since == 0 || len(diffs) == 0 {
		t.Errorf("given up: %+v, %d hours since, %d keys missing; want %d rows before %s", g, since, len(diffs), left, begin)
	}
	// A full backfill takes it back.
	if _, err := a.backfill(rollup.BackfillOptions{}, 1000, 0); err != nil {
		t.Fatal(err)
	}
	exact(t, db.Conn)
	if g := a.memory().GivenUp; g != nil {
		t.Errorf("still given up: %+v", g)
	}
}

func TestABackfillFromADayMendsWhatLiesSince(t *testing.T) {
	for _, engine := range engines {
		db := labtest.New(t, lab.Gen272)
		seed(t, db.Conn, lab.Typical(35, 1000))
		a := newAgent(t, db, engine)
		a.run()
		from := get[time.Time](t, db.Conn, "select date_trunc('day', now() - interval '90 days')")
		exec(t, db.Conn, "update task_usage_hourly set output_tokens = 0 where bucket_hour >= $1", from)
		if _, err := a.backfill(rollup.BackfillOptions{From: from}, 100, 0); err != nil {
			t.Fatal(err)
		}
		exact(t, db.Conn)
	}
}

func TestADamagedPlaceIsSetAsideAndStartedOver(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(36, 1000))
	a := newAgent(t, db, "set")
	if _, err := a.backfill(rollup.BackfillOptions{}, 100, 2); err != nil {
		t.Fatal(err)
	}
	place := a.places()[0]
	if err := os.WriteFile(place, []byte(`{"version": 1, "cursor": "yester`), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := a.backfill(rollup.BackfillOptions{}, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Warnings) == 0 || !strings.Contains(st.Warnings[0], "set aside") {
		t.Errorf("warnings %q, want one about the damaged place", st.Warnings)
	}
	if _, err := os.Stat(place + ".damaged"); err != nil {
		t.Errorf("the damaged place was not kept: %v", err)
	}
	exact(t, db.Conn)
}

func TestABackfillGivesUpAfterItsPatienceWithAHeldLock(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(37, 100))
	tx, _ := open(t, db)
	if _, err := tx.Exec(context.Background(), "select pg_advisory_xact_lock(4246)"); err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, db, "set")
	a.opts.LockPatience, a.opts.Walk.LockTimeout = 200*time.Millisecond, 100*time.Millisecond
	if _, err := a.backfill(rollup.BackfillOptions{}, 100, 0); problem.KindOf(err) != problem.TryAgain {
		t.Errorf("got %v, want a problem to try again", err)
	}
}

func TestWhatWasGivenUpIsForgottenWithTheUsageItself(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(36, 200))
	a := newAgent(t, db, "set")
	if _, err := a.backfill(rollup.BackfillOptions{MonthsBack: 1, ForcePartial: true}, 100, 0); err != nil {
		t.Fatal(err)
	}
	if a.memory().GivenUp == nil {
		t.Fatal("nothing was given up")
	}
	exec(t, db.Conn, "delete from task_usage")
	if _, err := a.backfill(rollup.BackfillOptions{Restart: true}, 100, 0); err != nil {
		t.Fatal(err)
	}
	exact(t, db.Conn)
	if g := a.memory().GivenUp; g != nil {
		t.Errorf("still given up: %+v", g)
	}
}
