package rollup_test

import (
	"context"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// runInSlicesOf is run with slices that aim at so many usage rows.
func (a *agent) runInSlicesOf(rows int) *report.State {
	a.t.Helper()
	a.opts.Walk.SliceTarget = time.Hour
	w := a.walker()
	defer w.Close(context.Background())
	w.SetSize(rows)
	if err := w.Run(context.Background()); err != nil {
		a.t.Fatalf("run: %v", err)
	}
	return w.State()
}

func queued(t testing.TB, db *labtest.DB) int64 {
	t.Helper()
	return get[int64](t, db.Conn, "select count(*) from task_usage_hourly_dirty")
}

// ageQueue makes queued keys old enough for the database's function.
const ageQueue = "update task_usage_hourly_dirty set enqueued_at = now() - interval '10 minutes'"

func TestInvalidationsAreWorkedOffWhateverTheWatermark(t *testing.T) {
	for _, engine := range engines {
		for _, outage := range []string{"0", "10 days"} {
			t.Run(engine+"/"+outage, func(t *testing.T) {
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, lab.Typical(21, 1000))
				a := newAgent(t, db, engine)
				a.run()
				exec(t, db.Conn, "delete from issue where id in (select id from issue order by id limit 20)")
				exec(t, db.Conn, "update agent_task_queue set runtime_id = (select min(id::text)::uuid from agent_runtime) where id in (select id from agent_task_queue order by id limit 200)")
				exec(t, db.Conn, "delete from task_usage where id in (select id from task_usage order by id limit 50)")
				exec(t, db.Conn, "update task_usage_hourly_dirty set enqueued_at = now() - interval '10 minutes' - $1::interval", outage)
				exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = watermark_at - $1::interval", outage)
				if queued(t, db) == 0 {
					t.Fatal("the triggers queued nothing")
				}
				st := a.runInSlicesOf(100)
				exact(t, db.Conn)
				if n := queued(t, db); n != 0 || st.Queue != 0 {
					t.Errorf("%d keys are still queued, the state says %d", n, st.Queue)
				}
			})
		}
	}
}

func TestAnInvalidationUnderWayIsNotLost(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, lab.Typical(22, 300))
			a := newAgent(t, db, engine)
			a.run()
			move := "update agent_task_queue set runtime_id = (select id from agent_runtime r where r.id <> runtime_id order by id limit 1) where id in (select id from agent_task_queue order by id limit 30)"
			exec(t, db.Conn, move)
			exec(t, db.Conn, ageQueue)
			// Another transaction invalidates the same keys anew and is still open: its
			// conflicting insert leaves key and enqueued_at of the queue rows as they look now.
			tx, _ := open(t, db)
			if _, err := tx.Exec(context.Background(), "update agent_task_queue set runtime_id = (select id from agent_runtime r where r.id <> runtime_id order by id desc limit 1) where id in (select id from agent_task_queue order by id limit 30)"); err != nil {
				t.Fatal(err)
			}
			a.opts.LockPatience, a.opts.Walk.LockTimeout = 300*time.Millisecond, 100*time.Millisecond
			a.run()
			if err := tx.Commit(context.Background()); err != nil {
				t.Fatal(err)
			}
			exec(t, db.Conn, ageQueue)
			a.run()
			exact(t, db.Conn)
		})
	}
}

func TestABatchWithOneTimestampIsRolledUpInManySlices(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(23, 3000))
	a := newAgent(t, db, "set")
	a.run()
	exec(t, db.Conn, "update task_usage set input_tokens = input_tokens + 1, updated_at = now()")
	a.atOnce()
	st := a.runInSlicesOf(500)
	exact(t, db.Conn)
	if st.Slices < 5 {
		t.Errorf("%d rows of one moment took %d slices of about 500 rows", st.Read, st.Slices)
	}
}

func TestScatteredCorrectionsAreCutByWhatHasToBeRead(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(24, 5000))
	a := newAgent(t, db, "set")
	a.run()
	// Some hundred corrections, each in an hour of its own, each at a time of its own.
	exec(t, db.Conn, `update task_usage u set input_tokens = input_tokens + 1, updated_at = now() + (n * interval '1 microsecond')
		from (select id, row_number() over (order by id) n from task_usage order by id limit 400) s where s.id = u.id`)
	a.atOnce()
	st := a.runInSlicesOf(600)
	exact(t, db.Conn)
	if most := st.Read / st.Slices; most > 1200 {
		t.Errorf("a slice read %d usage rows in the mean, want about 600", most)
	}
}

func TestUsageOfATaskWithoutRuntimeIsInNoBucket(t *testing.T) {
	for _, engine := range engines {
		db := labtest.New(t, lab.Gen272)
		shape := lab.Typical(25, 400)
		shape.NoRuntime = 0.2
		seed(t, db.Conn, shape)
		newAgent(t, db, engine).run()
		exact(t, db.Conn)
	}
}

func TestAnOddlyTimedCorrectionIsRolledUp(t *testing.T) {
	// updated_at before created_at: no release writes it, an import may.
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(26, 600))
	exec(t, db.Conn, "update task_usage set updated_at = created_at - interval '40 days' where id in (select id from task_usage order by id limit 100)")
	newAgent(t, db, "set").runInSlicesOf(100)
	exact(t, db.Conn)
}

func TestUnchangedHourlyRowsAreNotRewritten(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(27, 600))
	a := newAgent(t, db, "set")
	a.run()
	before := get[string](t, db.Conn, "select md5(string_agg(h::text || h.ctid::text, '' order by h.ctid)) from task_usage_hourly h")
	exec(t, db.Conn, "update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00'")
	if st := a.run(); st.Read == 0 || st.Rows != 0 {
		t.Errorf("read %d usage rows and wrote %d hourly rows, want some and none", st.Read, st.Rows)
	}
	after := get[string](t, db.Conn, "select md5(string_agg(h::text || h.ctid::text, '' order by h.ctid)) from task_usage_hourly h")
	if before != after {
		t.Error("rolling up again what was right rewrote hourly rows")
	}
}
