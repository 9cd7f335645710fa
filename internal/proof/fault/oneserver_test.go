package fault_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/throttle"
)

// pair is a primary and a standby that lags behind it for good.
type pair struct{ primary, standby *cluster }

// newPair seeds a primary, has a standby follow, and pauses that.
func newPair(t *testing.T) (pair, *pgx.Conn) {
	t.Helper()
	primary := newCluster(t)
	conn := primary.fresh(t)
	seed(t, conn, 3, 300)
	p := pair{primary, primary.standby()}
	labtest.Until(t, "the standby has all of it", func() error {
		if n := get[int64](t, p.standby.connect(), "select count(*) from task_usage"); n < 300 {
			return fmt.Errorf("%d rows", n)
		}
		return nil
	})
	return p, conn
}

// lag has the standby stay where it is, which is behind from the next commit on.
func (p pair) lag(t *testing.T) { exec1(t, p.standby.connect(), "select pg_wal_replay_pause()") }

// lateUsage writes usage in a transaction that stays open; usage of others follows and is committed.
func (p pair) lateUsage(t *testing.T, conn *pgx.Conn, named string) (commit func()) {
	t.Helper()
	const insert = `insert into task_usage (task_id, provider, model, input_tokens)
		select id, 'lab', %s, 100 from agent_task_queue where runtime_id is not null order by id limit 5`
	long := p.primary.connect()
	exec1(t, long, "begin", fmt.Sprintf(insert, "'late-"+named+"'"))
	began := get[time.Time](t, long, "select now()")
	labtest.UntilLater(t, conn, began, 100*time.Millisecond)
	exec1(t, conn, fmt.Sprintf(insert, "'early-"+named+"'"))
	labtest.UntilLater(t, conn, time.Now(), 50*time.Millisecond)
	return func() { exec1(t, long, "commit") }
}

// work is a command that rolls up, as an agent in this process does it.
type work struct {
	name string
	do   func(t *testing.T, dsn string, o rollup.Options) error
}

func works() []work {
	return []work{
		{"run", func(t *testing.T, dsn string, o rollup.Options) error {
			return walked(t, dsn, o, func(w *rollup.Walker) error { return w.Run(t.Context()) })
		}},
		{"backfill", func(t *testing.T, dsn string, o rollup.Options) error {
			o.Command = "backfill"
			// Its signals ask the database, too.
			signals, err := throttle.New(config.Backfill{MaxActive: 1000, MaxLockWaiters: 1000, MaxReplicaLag: time.Hour}, o.Log, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			o.Throttle = signals
			return walked(t, dsn, o, func(w *rollup.Walker) error {
				plan, err := w.PlanBackfill(t.Context(), rollup.BackfillOptions{})
				if err != nil {
					return err
				}
				return w.Backfill(t.Context(), plan, rollup.BackfillOptions{})
			})
		}},
	}
}

func walked(t *testing.T, dsn string, o rollup.Options, work func(*rollup.Walker) error) error {
	t.Helper()
	w := rollup.New(connect(t, dsn, o.Command), o)
	defer w.Close(context.Background())
	if err := w.Open(t.Context()); err != nil {
		return err
	}
	return work(w)
}

// TestAPoolerThatSplitsReadsMakesNothingMissing: the open transactions are on the primary, and a standby
// knows nothing of them.
func TestAPoolerThatSplitsReadsMakesNothingMissing(t *testing.T) {
	p, conn := newPair(t)
	p.lag(t)
	for _, engine := range engines {
		for _, w := range works() {
			for _, mode := range []splitting{outside, guided} {
				t.Run(engine+"/"+w.name+"/"+mode.String(), func(t *testing.T) {
					s := newSplitter(t, mode, p.primary, p.standby)
					o := options(t, engine)
					o.HorizonDelay = time.Millisecond
					run(t, p.primary.dsn(), o)
					commit := p.lateUsage(t, conn, engine+w.name+mode.String())
					if err := w.do(t, s.dsn, o); err != nil {
						t.Fatal(err)
					}
					truthful(t, conn, "beside the open transaction")
					commit()
					if err := w.do(t, s.dsn, o); err != nil {
						t.Fatal(err)
					}
					exact(t, conn, "after it was committed")
					if _, bare := s.seen(); len(bare) > 0 {
						t.Errorf("%d statements were outside of a transaction, such as: %s", len(bare), bare[0])
					}
				})
			}
		}
	}
}

// TestWhoOnlyLooksAsksThePrimaryThroughAPoolerThatSplitsReads: the standby lags, so its answers would be wrong.
func TestWhoOnlyLooksAsksThePrimaryThroughAPoolerThatSplitsReads(t *testing.T) {
	p, conn := newPair(t)
	dir := t.TempDir()
	must(t, p.primary.dsn(), dir, "run")
	p.lag(t)
	exec1(t, conn, "delete from task_usage_hourly where bucket_hour = (select min(bucket_hour) from task_usage_hourly)")
	s := newSplitter(t, outside, p.primary, p.standby)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"verify"}, 2, "wrong"},
		{[]string{"verify", "--engines"}, 0, ""},
		{[]string{"verify", "--repair"}, 0, ""},
		{[]string{"status"}, 0, "no difference"},
		{[]string{"doctor"}, 1, "fingerprints"}, // which are the lab's own
		{[]string{"usage"}, 0, ""},
		{[]string{"guard"}, 0, ""},
		{[]string{"pgcron", "status"}, 0, ""},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			_, before := s.seen()
			cmd := newCommand(s.dsn, dir, c.args...)
			code := cmd.code(t)
			said := cmd.stdout.String() + cmd.stderr.String()
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, want %d, and it says %s", code, c.code, said)
			}
			_, bare := s.seen()
			for _, sql := range bare[len(before):] {
				if sql != "select pg_backend_pid()" { // which looks for the pooler
					t.Errorf("outside of a transaction: %s", sql)
				}
			}
		})
	}
	exact(t, conn, "after the repair")
}

// TestAPoolerThatSplitsTransactionsIsRefused: one transaction's answers come from two servers.
func TestAPoolerThatSplitsTransactionsIsRefused(t *testing.T) {
	p, conn := newPair(t)
	dir := t.TempDir()
	must(t, p.primary.dsn(), dir, "run")
	p.lag(t)
	s := newSplitter(t, every, p.primary, p.standby)
	refuses := func(t *testing.T, text, hint string) {
		t.Helper()
		text = strings.Join(strings.Fields(text), " ") // which may be folded
		if !strings.Contains(text, "a pooler spreads the statements of one transaction over servers, and nothing was written") || !strings.Contains(hint, "name the primary itself in the DSN") {
			t.Errorf("it says %q, hint %q", text, hint)
		}
	}
	for _, w := range works() {
		t.Run(w.name, func(t *testing.T) {
			commit := p.lateUsage(t, conn, w.name)
			before := written(t, conn)
			o := options(t, "auto")
			o.HorizonDelay = time.Millisecond
			err := w.do(t, s.dsn, o)
			if err == nil || problem.KindOf(err) != problem.Config {
				t.Fatalf("it ends with %v, want a problem of the configuration", err)
			}
			refuses(t, err.Error(), problem.HintOf(err))
			if after := written(t, conn); after != before {
				t.Errorf("written: %s, before: %s", after, before)
			}
			commit()
		})
	}
	for _, c := range []struct {
		args []string
		code int
	}{{[]string{"run"}, 78}, {[]string{"backfill"}, 78}, {[]string{"verify"}, 3}, {[]string{"status"}, 3}, {[]string{"doctor"}, 2}} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			before := written(t, conn)
			cmd := newCommand(s.dsn, dir, c.args...)
			code := cmd.code(t)
			said := cmd.stdout.String() + cmd.stderr.String()
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			refuses(t, said, said)
			if after := written(t, conn); after != before {
				t.Errorf("written: %s, before: %s", after, before)
			}
		})
	}
	must(t, p.primary.dsn(), dir, "run")
}

// written is all that the agent could have written.
func written(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	return get[string](t, conn, `select concat((select md5(string_agg(h::text, ',' order by h::text)) from task_usage_hourly h), ' ',
		(select s::text from task_usage_hourly_rollup_state s), ' ', (select count(*) from task_usage_hourly_dirty))`)
}
