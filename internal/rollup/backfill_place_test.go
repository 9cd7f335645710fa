package rollup_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// interrupted begins a backfill and stops it after a slice.
func (a *agent) interrupted(o rollup.BackfillOptions) {
	a.t.Helper()
	if st, err := a.backfill(o, 200, 1); err != nil || st.Outcome != report.Interrupted || len(a.places()) != 1 {
		a.t.Fatalf("outcome %q with %d places, %v; want interrupted with one", st.Outcome, len(a.places()), err)
	}
}

// rewrite changes the one place that there is.
func (a *agent) rewrite(change func(*ledger.Checkpoint)) {
	a.t.Helper()
	path := a.places()[0]
	b, err := os.ReadFile(path)
	var p ledger.Checkpoint
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err == nil {
		change(&p)
		b, err = json.Marshal(p)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// plan plans without carrying out.
func (a *agent) plan(o rollup.BackfillOptions) (*rollup.BackfillPlan, error) {
	a.t.Helper()
	w := a.walker()
	defer w.Close(context.Background())
	return w.PlanBackfill(context.Background(), o)
}

func TestAnUnfinishedBackfillGoesOnWhenTheSameIsAskedFor(t *testing.T) {
	for name, o := range map[string]rollup.BackfillOptions{
		"months": {MonthsBack: 14}, "from": {From: time.Now().AddDate(-2, 0, 0)}, "all": {},
	} {
		t.Run(name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(51, 1500))
			a := newAgent(t, db, "set")
			a.interrupted(o)
			// The beginning may have become another meanwhile: a month has gone by, or the oldest usage has been deleted.
			a.rewrite(func(p *ledger.Checkpoint) { p.PassFrom = p.PassFrom.AddDate(0, -1, 0) })
			if _, err := a.plan(rollup.BackfillOptions{MonthsBack: 3, ForcePartial: true}); problem.KindOf(err) != problem.Usage || !strings.Contains(err.Error(), "is unfinished") {
				t.Errorf("another beginning: %v, want a refusal", err)
			}
			p, err := a.plan(o)
			if err != nil || !p.Resumed || p.Done == 0 {
				t.Fatalf("%+v, %v; want it to go on", p, err)
			}
			a.interrupted(o) // and is what was asked for remembered from then on?
			if st, err := a.backfill(o, 500, 0); err != nil || st.Outcome != report.Current {
				t.Fatalf("outcome %q, %v", st.Outcome, err)
			}
			exact(t, db.Conn)
		})
	}
}

// roleWithout makes a role that has all rights on the tables but one.
func roleWithout(t testing.TB, db *labtest.DB, right string) string {
	t.Helper()
	role := "without_" + get[string](t, db.Conn, "select current_database()")
	exec(t, db.Conn, "create role "+role+" login")
	t.Cleanup(func() {
		exec(t, db.Conn, "drop owned by "+role)
		exec(t, db.Conn, "drop role "+role)
	})
	exec(t, db.Conn, "grant select, insert, update, delete on all tables in schema public to "+role)
	exec(t, db.Conn, "revoke "+right+" from "+role)
	return role
}

func TestABackfillWithoutRightsFailsBeforeItBegins(t *testing.T) {
	for _, engine := range engines {
		for _, lacking := range []string{"insert, update, delete on task_usage_hourly", "update on task_usage_hourly_rollup_state", "delete on task_usage_hourly_dirty"} {
			t.Run(engine+"/"+lacking, func(t *testing.T) {
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, lab.Typical(52, 100))
				a := newAgent(t, db, engine)
				a.as(roleWithout(t, db, lacking))
				_, err := a.plan(rollup.BackfillOptions{})
				if problem.KindOf(err) != problem.Permission || !strings.Contains(problem.HintOf(err), "GRANT") {
					t.Errorf("%v (hint %q), want a missing right and how to grant it", err, problem.HintOf(err))
				}
				if len(a.places()) != 0 {
					t.Error("it left a place behind")
				}
				a.opts.DryRun = true
				if p, err := a.plan(rollup.BackfillOptions{}); err != nil || p.Total == 0 {
					t.Errorf("only looking: %v", err)
				}
			})
		}
	}
}

func TestWhoOnlyLooksTouchesNothing(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(53, 1500))
	a := newAgent(t, db, "set")
	a.interrupted(rollup.BackfillOptions{})
	place := a.places()[0]
	if err := os.WriteFile(place, []byte("{garb"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.opts.DryRun = true
	if p, err := a.plan(rollup.BackfillOptions{}); err != nil || p.Resumed {
		t.Fatalf("%+v, %v; want a plan that starts over", p, err)
	}
	if b, err := os.ReadFile(place); err != nil || string(b) != "{garb" {
		t.Errorf("the damaged place is %q, %v", b, err)
	}
	a.opts.StateDir = filepath.Join(t.TempDir(), "none")
	if _, err := a.plan(rollup.BackfillOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(a.opts.StateDir); !os.IsNotExist(err) {
		t.Errorf("the state directory was made: %v", err)
	}
}

func TestAPlanCountsWhatIsRead(t *testing.T) {
	for _, engine := range engines {
		for name, o := range map[string]rollup.BackfillOptions{
			"all": {}, "the last months": {MonthsBack: 2}, "from": {From: time.Now().AddDate(0, -4, 0)},
		} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				db := labtest.New(t, lab.Gen272)
				shape := lab.Typical(54, 1500)
				shape.LateCorrections = 0.5
				seed(t, db.Conn, shape)
				exec(t, db.Conn, "update task_usage set input_tokens = input_tokens + 1, updated_at = now() - interval '10 minutes' where id in (select id from task_usage order by md5(id::text) limit 300)")
				a := newAgent(t, db, engine)
				a.run()
				exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1")
				p, err := a.plan(o)
				if err != nil {
					t.Fatal(err)
				}
				var months int64
				for _, m := range p.Months {
					months += m.Rows
				}
				early := false
				st, err := a.watched(o, 200, func(st *report.State) {
					if pr := st.Progress; pr != nil && pr.Done >= pr.Total && st.Phase == report.Walking && st.Watermark.Before(p.To) {
						early = true
					}
				})
				if err != nil || st.Outcome != report.Current {
					t.Fatalf("outcome %q, %v", st.Outcome, err)
				}
				if pr := st.Progress; pr.Done != pr.Total {
					t.Errorf("in the end %d of %d rows are done", pr.Done, pr.Total)
				}
				if early {
					t.Error("it was at 100 % before its end")
				}
				if months != p.Total || st.Read < p.Total*8/10 || st.Read > p.Total*12/10 {
					t.Errorf("planned %d (by month %d), read %d", p.Total, months, st.Read)
				}
			})
		}
	}
}

// watched is backfill, looked at whenever its state changes.
func (a *agent) watched(o rollup.BackfillOptions, rows int, look func(*report.State)) (*report.State, error) {
	a.t.Helper()
	a.opts.Command, a.opts.Walk.SliceTarget, a.opts.Observe = "backfill", time.Hour, look
	w := a.walker()
	defer w.Close(context.Background())
	w.SetSize(rows)
	plan, err := w.PlanBackfill(context.Background(), o)
	if err == nil {
		err = w.Backfill(context.Background(), plan, o)
	}
	return w.State(), err
}

func TestAPlaceFromTheFutureDoesNotTakeTheWatermarkThere(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(55, 1500))
	a := newAgent(t, db, "set")
	a.interrupted(rollup.BackfillOptions{})
	a.rewrite(func(p *ledger.Checkpoint) { p.PassTo = time.Now().AddDate(70, 0, 0) })
	st, err := a.watched(rollup.BackfillOptions{}, 500, func(st *report.State) {
		if st.Watermark.After(time.Now()) {
			t.Errorf("the watermark is at %s", st.Watermark)
		}
	})
	if err != nil || st.Outcome != report.Current {
		t.Fatalf("outcome %q, %v", st.Outcome, err)
	}
	exact(t, db.Conn)
}

func TestAnImpossiblePlaceIsSetAside(t *testing.T) {
	for name, change := range map[string]func(*ledger.Checkpoint){
		"cursor before the pass": func(p *ledger.Checkpoint) { p.Cursor = p.PassFrom.Add(-time.Second) },
		"cursor after the pass":  func(p *ledger.Checkpoint) { p.Cursor = p.PassTo.Add(time.Second) },
		"negative counts":        func(p *ledger.Checkpoint) { p.Done = -500 },
	} {
		t.Run(name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(56, 1500))
			a := newAgent(t, db, "set")
			a.interrupted(rollup.BackfillOptions{})
			place := a.places()[0]
			a.rewrite(change)
			st, err := a.backfill(rollup.BackfillOptions{}, 500, 0)
			if err != nil || st.Outcome != report.Current || len(st.Warnings) == 0 {
				t.Fatalf("outcome %q, warnings %q, %v", st.Outcome, st.Warnings, err)
			}
			if _, err := os.Stat(place + ".damaged"); err != nil {
				t.Error(err)
			}
			exact(t, db.Conn)
		})
	}
}

func TestAFinishedBackfillForgetsThePlacesOfDatabasesThatAreNoMore(t *testing.T) {
	for _, service := range []bool{false, true} {
		db := labtest.New(t, lab.Gen272)
		seed(t, db.Conn, lab.Typical(57, 300))
		a := newAgent(t, db, "set")
		if service { // its directory is for one database alone
			t.Setenv("STATE_DIRECTORY", a.opts.StateDir)
		}
		a.interrupted(rollup.BackfillOptions{})
		b, err := os.ReadFile(a.places()[0])
		if err != nil {
			t.Fatal(err)
		}
		target := get[string](t, db.Conn, "select current_database()")
		for name, content := range map[string]string{"999-upgraded": string(b), "998-other": strings.ReplaceAll(string(b), target, "elsewhere")} {
			if err := os.WriteFile(filepath.Join(a.opts.StateDir, name+".backfill.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.backfill(rollup.BackfillOptions{}, 500, 0); err != nil {
			t.Fatal(err)
		}
		left := a.places()
		if service && len(left) != 0 {
			t.Errorf("a service's directory still has %v", left)
		}
		if !service && (len(left) != 1 || filepath.Base(left[0]) != "998-other.backfill.json") {
			t.Errorf("there are still %v, want the other database's alone", left)
		}
	}
}
