package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// upgrade is a database on its way from v0.3.4, and the program beside it.
type upgrade struct {
	t  *testing.T
	db *labtest.DB
}

func newUpgrade(t *testing.T, gen lab.Generation, tasks int) *upgrade {
	t.Helper()
	u := &upgrade{t: t, db: labtest.New(t, gen)}
	if tasks > 0 {
		if _, err := lab.Seed(t.Context(), u.db.Conn, lab.Typical(1, tasks)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("MULTICA_ROLLUP_DSN", u.db.DSN)
	t.Setenv("MULTICA_ROLLUP_STATE_DIR", t.TempDir())
	t.Setenv("MULTICA_ROLLUP_WALK_LOCK_TIMEOUT", "100ms")
	return u
}

// run runs a command line and returns its exit code and what it wrote.
func (u *upgrade) run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	u.t.Helper()
	var out, diagnostics bytes.Buffer
	err := cli.Run(ctx, args, strings.NewReader(""), &out, &diagnostics)
	return cli.ExitCode(err), out.String(), diagnostics.String()
}

// guard asks for the verdict, which must be the migration's own, and compares the words.
func (u *upgrade) guard(code int, words ...string) {
	u.t.Helper()
	got, stdout, stderr := u.run(u.t.Context(), "guard")
	if got != code {
		u.t.Errorf("exit code %d, want %d\n%s%s", got, code, stdout, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stdout, w) {
			u.t.Errorf("nothing says %q:\n%s", w, stdout)
		}
	}
}

// migrate asks the migration itself.
func (u *upgrade) migrate(want bool) {
	u.t.Helper()
	err := lab.GuardVerdict(u.t.Context(), u.db.Conn)
	if _, refused := errors.AsType[*lab.GuardRefusal](err); refused == want || err != nil && !refused {
		u.t.Errorf("the migration says %v, want passing to be %t", err, want)
	}
}

func (u *upgrade) exec(conn *pgx.Conn, sql string, args ...any) {
	u.t.Helper()
	if _, err := conn.Exec(u.t.Context(), sql, args...); err != nil {
		u.t.Fatalf("%s: %v", sql, err)
	}
}

func TestGuardBeforeTheUpgrade(t *testing.T) {
	u := newUpgrade(t, lab.Gen097, 50)
	u.guard(1, "there are no hourly tables yet", "next: upgrade Multica to a release from v0.3.5 to v0.3.16", "then: stop the backend", "then: multica-rollup guard --fix")
	if code, stdout, _ := u.run(t.Context(), "guard", "--fix"); code != 1 || !strings.Contains(stdout, "no hourly tables yet") {
		t.Errorf("--fix: exit code %d, want 1:\n%s", code, stdout)
	}
}

func TestGuardBeforeTheUpgradeOfAnEmptyInstallation(t *testing.T) {
	newUpgrade(t, lab.Gen097, 0).guard(0, "migration 103 passes: there is no usage")
}

func TestGuardWhereTheUpgradeStopped(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 300)
	u.migrate(false)
	u.guard(1, "nothing is rolled up yet, the watermark is at the epoch", "next: multica-rollup guard --fix")
	// What a backfill would wait for does not hold an upgrade back.
	pauseFile := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(pauseFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MULTICA_ROLLUP_BACKFILL_PAUSE_FILE", pauseFile)
	code, stdout, stderr := u.run(t.Context(), "guard", "--fix")
	if code != 0 || !strings.Contains(stdout, "migration 103 passes") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	u.migrate(true)
	u.guard(0, "migration 103 passes")
	diffs, err := lab.Oracle(t.Context(), u.db.Conn)
	if err != nil || len(diffs) > 0 {
		t.Errorf("%d hourly rows differ from the raw usage, %v", len(diffs), err)
	}
	// Nothing is left that would be taken for an interrupted backfill.
	if code, stdout, _ := u.run(t.Context(), "status", "--json"); code != 0 || strings.Contains(stdout, `"backfill"`) {
		t.Errorf("status ends with %d:\n%s", code, stdout)
	}
}

func TestGuardAfterHalfABackfill(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 300)
	u.exec(u.db.Conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '90 days'")
	u.migrate(false)
	u.guard(1, "trails the newest event by", "more than 1h", "next: multica-rollup guard --fix")
}

func TestGuardAfterAnInterruptedBackfillTellsItsPlace(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 30000) // more than the first slice takes
	t.Setenv("MULTICA_ROLLUP_WALK_SLICE_TARGET", "50ms")
	ctx, cancel := context.WithCancel(t.Context())
	// A trigger slows the slices down, so that there is a middle to interrupt in.
	u.exec(u.db.Conn, `create function nap() returns trigger language plpgsql as $$ begin perform pg_sleep(0.2); return new; end $$;
		create trigger nap after update of watermark_at on task_usage_hourly_rollup_state for each row execute function nap()`)
	go func() {
		defer cancel()
		conn, err := pgx.Connect(ctx, u.db.DSN)
		if err != nil {
			return // the run then ends uninterrupted, which the test refuses
		}
		defer conn.Close(context.WithoutCancel(ctx))
		for moved := false; !moved && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			_ = conn.QueryRow(ctx, "select watermark_at > '1971-01-01' from task_usage_hourly_rollup_state").Scan(&moved)
		}
	}()
	if code, stdout, stderr := u.run(ctx, "guard", "--fix"); code != 1 || !strings.Contains(stderr, "interrupted") {
		t.Fatalf("exit code %d, want 1\n%s%s", code, stdout, stderr)
	}
	u.guard(1, "a backfill has come to", "next: multica-rollup guard --fix")
	if code, stdout, stderr := u.run(t.Context(), "guard", "--fix"); code != 0 {
		t.Errorf("going on: exit code %d\n%s%s", code, stdout, stderr)
	}
	u.migrate(true)
}

// holdLock is the backend's own backfill: a session that sits on lock 4246.
func (u *upgrade) holdLock() (conn *pgx.Conn, pid uint32) {
	u.t.Helper()
	conn = u.db.Connect(u.t)
	u.exec(conn, "set application_name = 'multica-backend'")
	u.exec(conn, "begin")
	u.exec(conn, "select pg_advisory_xact_lock(4246)")
	return conn, conn.PgConn().PID()
}

func TestGuardNamesWhoSitsOnTheLockAndLeavesItAlone(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 300)
	conn, pid := u.holdLock()
	u.guard(1, "lock 4246 is held by pid "+fmt.Sprint(pid), "(multica-backend), user postgres", "since 20", "next: stop the backend (it is safe", "then: multica-rollup guard --fix", "then: start the backend")
	u.exec(conn, "select 1") // it has not been ended
	u.exec(conn, "rollback") // the backend is stopped
	if code, stdout, stderr := u.run(t.Context(), "guard", "--fix"); code != 0 {
		t.Errorf("exit code %d once the backend is stopped\n%s%s", code, stdout, stderr)
	}
	u.migrate(true)
}

func TestGuardFixGoesOnAsSoonAsTheBackendIsStopped(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 300)
	conn, pid := u.holdLock()
	stopped := make(chan error, 1)
	go func() {
		// The backend is stopped once the guard has waited for the lock again and again, and so has said so.
		waits := map[string]bool{}
		var err error
		for len(waits) < 8 && err == nil {
			var vxid string
			err = u.db.Conn.QueryRow(context.Background(), "select coalesce(min(virtualtransaction), '') from pg_locks where locktype = 'advisory' and not granted").Scan(&vxid)
			if vxid != "" {
				waits[vxid] = true
			}
		}
		stopped <- errors.Join(err, conn.Close(context.Background()))
	}()
	code, stdout, stderr := u.run(t.Context(), "guard", "--fix")
	if code != 0 || !strings.Contains(stderr, "waiting for lock 4246, held by pid "+fmt.Sprint(pid)) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	u.migrate(true)
}

func TestGuardOnceTheMigrationIsApplied(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		u := newUpgrade(t, gen, 100)
		u.guard(0, "migration 103 has been applied")
		if code, _, _ := u.run(t.Context(), "guard", "--fix"); code != 0 {
			t.Errorf("--fix: exit code %d, want 0", code)
		}
	}
}

// openFor opens a transaction that writes usage, and seems to have been open for so long: nobody
// can wait for it, so pg_stat_activity is shadowed for all who connect later.
func (u *upgrade) openFor(age string) {
	u.t.Helper()
	u.exec(u.db.Conn, "create schema shadow")
	var columns string
	err := u.db.Conn.QueryRow(u.t.Context(), `select string_agg(quote_ident(attname), ', ' order by attnum) filter (where attname <> 'xact_start')
		from pg_attribute where attrelid = 'pg_catalog.pg_stat_activity'::regclass and attnum > 0`).Scan(&columns)
	if err != nil {
		u.t.Fatal(err)
	}
	u.exec(u.db.Conn, "create view shadow.pg_stat_activity as select "+columns+`,
		case when application_name = 'long' then xact_start - interval '`+age+`' else xact_start end as xact_start from pg_catalog.pg_stat_activity`)
	u.exec(u.db.Conn, "alter database "+pgx.Identifier{u.db.Name}.Sanitize()+" set search_path = shadow, public, pg_catalog")
	long := u.db.Connect(u.t)
	for _, sql := range []string{"set application_name = 'long'", "begin", "insert into workspace (id, name, slug) values (gen_random_uuid(), 'w', 'w')", "update task_usage set model = model where false"} {
		u.exec(long, sql)
	}
}

// TestOurOwnHorizonDoesNotFailTheGuard has transactions open for about an hour,
// which would hold an ordinary walk back for as long, and an event that comes
// right afterwards.
func TestOurOwnHorizonDoesNotFailTheGuard(t *testing.T) {
	for _, age := range []string{"59 minutes", "59 minutes 59 seconds", "25 minutes"} {
		for _, command := range [][]string{{"guard", "--fix"}, {"run"}, {"backfill"}} {
			t.Run(age+"/"+command[0], func(t *testing.T) {
				u := newUpgrade(t, lab.GenInterrupted, 200)
				t.Setenv("MULTICA_ROLLUP_WALK_HORIZON_HOLD", "24h")
				u.openFor(age)
				if code, stdout, stderr := u.run(t.Context(), command...); code != 0 {
					t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
				}
				u.exec(u.db.Conn, "update task_usage set updated_at = now() + interval '1 minute' where id = (select id from task_usage limit 1)")
				u.guard(0, "migration 103 passes")
				u.migrate(true)
				// What the transaction may still write is owed, not forgotten.
				if _, stdout, _ := u.run(t.Context(), "status", "--json"); !strings.Contains(stdout, `"kind": "open-transaction"`) {
					t.Errorf("nothing is owed:\n%s", stdout)
				}
			})
		}
	}
}

func TestAYoungTransactionStillHoldsTheHorizonBack(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 200)
	u.openFor("10 minutes")
	if code, stdout, stderr := u.run(t.Context(), "run"); code != 0 || !strings.Contains(stderr, "held back by pid") {
		t.Errorf("exit code %d, and nothing holds it back\n%s%s", code, stdout, stderr)
	}
	u.guard(0, "migration 103 passes")
	u.migrate(true)
}

func TestGuardAsJSON(t *testing.T) {
	u := newUpgrade(t, lab.GenInterrupted, 100)
	code, stdout, _ := u.run(t.Context(), "guard", "--json")
	var v struct {
		SchemaVersion int `json:"schema_version"`
		Pass          *bool
		Verdict       string
		Next          []string
		TrailsSeconds float64 `json:"trails_seconds"`
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatal(err)
	}
	if code != 1 || v.SchemaVersion != 1 || v.Pass == nil || *v.Pass || len(v.Next) != 1 || v.TrailsSeconds < 1e9 {
		t.Errorf("exit code %d, %+v", code, v)
	}
}

func TestGuardWithoutADatabaseOrItsTables(t *testing.T) {
	u := newUpgrade(t, lab.Gen097, 0)
	u.exec(u.db.Conn, "drop table task_usage cascade")
	if code, _, stderr := u.run(t.Context(), "guard"); code != 78 || !strings.Contains(stderr, "not a Multica database") {
		t.Errorf("exit code %d, want 78\n%s", code, stderr)
	}
	t.Setenv("MULTICA_ROLLUP_DSN", "host=127.0.0.1 port=1 user=x dbname=y")
	if code, _, stderr := u.run(t.Context(), "guard"); code != 69 {
		t.Errorf("exit code %d, want 69\n%s", code, stderr)
	}
}
