package fault_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// TestAConnectionFrozenAtAnyStatementIsGivenUp has the connection stay open and
// say nothing, as with a host that hangs or a network that swallows packets.
func TestAConnectionFrozenAtAnyStatementIsGivenUp(t *testing.T) {
	for _, engine := range engines {
		for _, verb := range []string{"run", "backfill"} {
			t.Run(engine+"/"+verb, func(t *testing.T) {
				t.Parallel()
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, 41, 250)
				p := newProxy(t, db.DSN)
				o := options(t, engine)
				o.Command, o.Walk.StatementTimeout, o.LockPatience = verb, 6*time.Second, labtest.Guard
				work := func() {
					st := (*report.State)(nil)
					if verb == "run" {
						st = runWith(t, impatient(t, p.dsn, verb), o)
					} else {
						st = backfillWith(t.Context(), t, impatient(t, p.dsn, verb), o)
					}
					if st.Outcome != report.Current {
						t.Fatalf("outcome %q, want current", st.Outcome)
					}
				}
				skip := opening(t, p, o)
				spoil(t, db.Conn)
				total := p.statements(work)
				step := 41
				if thorough() {
					step = 3
				}
				var worst time.Duration
				for i, f := range []fate{swallowed, frozen} {
					for n := skip + 1 + (19*i+7)%step; n <= total; n += step {
						spoil(t, db.Conn)
						o.StateDir = t.TempDir()
						p.arrange(n, f, nil)
						began := time.Now()
						work()
						worst = max(worst, time.Since(began))
						exact(t, db.Conn, fmt.Sprintf("statement %d of %d %s", n, total, f))
					}
				}
				t.Logf("%d statements; the longest run with one that nobody answered took %s", total, worst)
			})
		}
	}
}

// TestADatabaseThatIsGoneEndsTheRunAndTheNextGoesOn takes the database away from
// the real program in mid-walk, for good: by silence, and by refusal.
func TestADatabaseThatIsGoneEndsTheRunAndTheNextGoesOn(t *testing.T) {
	for _, c := range []struct {
		name string
		hook func(p *proxy)
		fate fate
		said []string
	}{
		{"nothing answers any more", func(p *proxy) { go p.blackOut() }, frozen, []string{"the server has not answered for", "no answer in time", "hint: "}},
		{"nothing listens any more", func(p *proxy) { _ = p.listener.Close() }, unheard, []string{"lost the database", "connection refused", "hint: check that PostgreSQL runs there"}},
	} {
		for _, engine := range engines {
			t.Run(c.name+"/"+engine, func(t *testing.T) {
				t.Parallel()
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, 42, 250)
				p := newProxy(t, db.DSN)
				dir := t.TempDir()
				total := p.statements(func() { must(t, p.dsn, dir, "run", "--engine", engine) })
				spoil(t, db.Conn)
				cmd := newCommand(p.dsn+"&connect_timeout=2", dir, "run", "--engine", engine)
				cmd.cmd.Env = append(cmd.cmd.Env, "MULTICA_ROLLUP_WALK_STATEMENT_TIMEOUT=3s", "MULTICA_ROLLUP_WALK_SLICE_TARGET=1s")
				p.arrange(total-6, c.fate, func() { c.hook(p) })
				began := time.Now()
				ends(t, cmd, 69, c.said...)
				took := time.Since(began)
				t.Logf("it gave up after %s", took)
				// Thirty seconds are for the reconnection, less the longest pause between two attempts.
				if took < 20*time.Second || took > labtest.Guard {
					t.Errorf("it took %s to give up", took)
				}
				truthful(t, db.Conn, "with the database gone")
				lockFree(t, db.Conn)
				must(t, db.DSN, dir, "run", "--engine", engine)
				exact(t, db.Conn, "after the next run")
			})
		}
	}
}

// TestAStoppedProgramLetsGoOfTheLock stops the real program in mid-transaction,
// as a suspended host does, and lets it go on once the lock is free.
func TestAStoppedProgramLetsGoOfTheLock(t *testing.T) {
	for _, engine := range engines {
		for _, verb := range []string{"run", "backfill"} {
			t.Run(engine+"/"+verb, func(t *testing.T) {
				t.Parallel()
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, 43, 250)
				p := newProxy(t, db.DSN)
				total := p.statements(func() { must(t, p.dsn, t.TempDir(), verb, "--engine", engine) })
				held := 0                                   // times that the lock was seen to be held, or the server to end the session
				for n := total; n > 0 && held < 3; n -= 2 { // each slice's transaction has more statements than that
					spoil(t, db.Conn)
					c := newCommand(p.dsn, t.TempDir(), verb, "--engine", engine)
					met := p.arrange(n, passed, func() {
						<-c.started
						if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
							t.Error(err)
						}
					})
					code := make(chan int, 1)
					go func() { code <- c.code(t) }()
					select {
					case <-met:
					case got := <-code:
						t.Fatalf("statement %d of %d did not come; exit code %d: %s", n, total, got, c.stderr.String())
					}
					stopped := time.Now()
					seen := holding(t, db.Conn)
					lockFree(t, db.Conn)
					if seen {
						t.Logf("stopped at statement %d of %d: the lock was free after %s", n, total, time.Since(stopped))
					}
					if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
						t.Fatal(err)
					}
					if got := <-code; got != 0 {
						t.Fatalf("stopped at statement %d of %d: exit code %d: %s", n, total, got, c.stderr.String())
					}
					// On a slow machine the lock may be free before anybody could look.
					if seen || strings.Contains(c.stderr.String(), "lost the database") {
						held++
					}
					exact(t, db.Conn, fmt.Sprintf("stopped at statement %d of %d", n, total))
				}
				if held == 0 {
					t.Error("the lock was held at none of these statements")
				}
			})
		}
	}
}

// TestALongLineCostsOneConnection has the last statements of a run arrive later each
// than the server first waits for one in a transaction that holds the lock.
func TestALongLineCostsOneConnection(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 45, 250)
			p := newProxy(t, db.DSN)
			o := options(t, engine)
			total := p.statements(func() { run(t, p.dsn, o) })
			spoil(t, db.Conn)
			p.arrange(total-8, passed, func() { p.late, p.calls = pg.ShortSilence*4/3, 0 })
			if st := run(t, p.dsn, o); st.Outcome != report.Current {
				t.Errorf("outcome %q, want current", st.Outcome)
			}
			exact(t, db.Conn, "over a long line")
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.calls != 1 {
				t.Errorf("%d connections were made beside the first, want 1", p.calls)
			}
		})
	}
}

// holding says whether somebody holds lock 4246, once the statement under way has been carried out.
func holding(t *testing.T, conn *pgx.Conn) bool {
	t.Helper()
	labtest.Until(t, "the stopped program's session is idle", func() error {
		if n := get[int64](t, conn, "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'multica-rollup/%' and state = 'active'"); n > 0 {
			return fmt.Errorf("%d sessions are active", n)
		}
		return nil
	})
	list, err := pg.LockSessions(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return len(list) > 0
}

// TestWhoLooksDoesNotWaitForEver has nothing answer those who only look. Theirs
// are the exit codes of "could not look": a verdict is not given.
func TestWhoLooksDoesNotWaitForEver(t *testing.T) {
	for verb, c := range map[string]struct {
		code int
		said []string
	}{
		"status": {3, []string{"did not answer within 30s", "hint: "}}, "verify": {3, []string{"the server has not answered for 1m0", "hint: "}},
		"guard": {69, []string{"did not answer within 30s", "hint: "}}, "pgcron status": {69, []string{"did not answer within", "hint: "}},
		"doctor": {3, []string{"could not be checked", "answered for 1", "see whether the server hangs"}},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			db := labtest.New(t, lab.Gen272)
			seed(t, db.Conn, 44, 100)
			p := newProxy(t, db.DSN)
			cmd := newCommand(p.dsn+"&connect_timeout=2", t.TempDir(), strings.Fields(verb)...)
			p.arrange(2, frozen, func() { go p.blackOut() })
			began := time.Now()
			ends(t, cmd, c.code, c.said...)
			if took := time.Since(began); took > labtest.Guard {
				t.Errorf("it took %s", took)
			}
		})
	}
}
