package fault_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// spoil takes the database back to where everything is to be done: a history
// not rolled up, and invalidations queued.
func spoil(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	exec1(t, conn,
		"truncate task_usage_hourly",
		"update agent_task_queue set runtime_id = (select id from agent_runtime r where r.id <> runtime_id order by md5(id::text || clock_timestamp()) limit 1) where id in (select id from agent_task_queue where runtime_id is not null order by id limit 20)",
		"update task_usage_hourly_dirty set enqueued_at = now() - interval '1 hour'",
		"update task_usage_hourly_rollup_state set watermark_at = '1970-01-01 00:00:00+00', last_error = null")
}

// boundaries returns which statements meet a fault: every one, or a sample that
// is another one for each fate, up to the count that a whole run takes.
func boundaries(total, offset int) []int {
	step := 13
	if thorough() {
		step, offset = 1, 0
	}
	var list []int
	for n := 1 + offset%step; n <= total; n += step {
		list = append(list, n)
	}
	return list
}

// statements counts what passes while fn works.
func (p *proxy) statements(fn func()) int {
	p.arrange(0, passed, nil)
	fn()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// opening is how many statements Open takes: a connection lost there fails the tick, with nothing begun.
func opening(t *testing.T, p *proxy, o rollup.Options) int {
	t.Helper()
	return p.statements(func() { open(t, p.dsn, o).Close(context.Background()) })
}

func TestAConnectionLostAtAnyStatementIsMadeUpFor(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 11, 250)
			p := newProxy(t, db.DSN)
			o := options(t, engine)
			skip := opening(t, p, o)
			spoil(t, db.Conn)
			total := p.statements(func() { run(t, p.dsn, o) })
			t.Logf("%d statements, %d of them looking around", total, skip)
			for i, f := range []fate{unsent, unheard, delayed} {
				for _, n := range boundaries(total, 4*i) {
					if n <= skip {
						continue
					}
					spoil(t, db.Conn)
					o.StateDir = t.TempDir()
					p.arrange(n, f, nil)
					run(t, p.dsn, o)
					exact(t, db.Conn, fmt.Sprintf("statement %d of %d %s", n, total, f))
				}
			}
			lockFree(t, db.Conn)
		})
	}
}

func TestABackfillLostAtAnyStatementGoesOn(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 12, 250)
			p := newProxy(t, db.DSN)
			o := options(t, engine)
			run(t, p.dsn, o)
			total := p.statements(func() { backfill(t.Context(), t, p.dsn, o) })
			skip := opening(t, p, o)
			for i, f := range []fate{unsent, unheard} {
				for _, n := range boundaries(total, 6*i) {
					if n <= skip {
						continue
					}
					// Re-rolled behind the watermark, interrupted in its fourth slice, and broken.
					exec1(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1")
					ctx, cancel := context.WithCancel(t.Context())
					o.Observe = func(st *report.State) {
						if st.Slices >= 4 {
							cancel()
						}
					}
					p.arrange(n, f, nil)
					backfill(ctx, t, p.dsn, o)
					cancel()
					o.Observe = nil
					p.arrange(0, passed, nil) // where the interruption came first
					if st := backfill(t.Context(), t, p.dsn, o); st.Outcome != report.Current {
						t.Fatalf("outcome %q, want current", st.Outcome)
					}
					exact(t, db.Conn, fmt.Sprintf("statement %d of %d %s", n, total, f))
				}
			}
		})
	}
}

func TestAProgramKilledAtAnyStatementLeavesTheTruthAndNoLock(t *testing.T) {
	for _, engine := range engines {
		for _, verb := range []string{"run", "backfill"} {
			t.Run(engine+"/"+verb, func(t *testing.T) {
				t.Parallel()
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, 13, 250)
				p := newProxy(t, db.DSN)
				dir := t.TempDir()
				total := p.statements(func() { must(t, p.dsn, dir, verb, "--engine", engine) })
				for i, f := range []fate{unsent, unheard} {
					for _, n := range boundaries(total, 6*i) {
						spoil(t, db.Conn)
						dir := t.TempDir()
						c := newCommand(p.dsn, dir, verb, "--engine", engine)
						met := p.arrange(n, f, c.kill)
						if code := c.code(t); code != -1 { // -1 is that of a killed program
							t.Fatalf("statement %d of %d did not come; exit code %d: %s", n, total, code, c.stderr.String())
						}
						<-met
						lockFree(t, db.Conn)
						truthful(t, db.Conn, fmt.Sprintf("killed at statement %d of %d, %s", n, total, f))
						must(t, p.dsn, dir, "run", "--engine", engine)
						exact(t, db.Conn, fmt.Sprintf("killed at statement %d of %d, %s, and run again", n, total, f))
					}
				}
				t.Logf("%d statements", total)
			})
		}
	}
}
