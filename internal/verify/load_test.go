package verify_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

func TestARunningInstallationGivesNoFalseAlarm(t *testing.T) {
	for _, c := range []struct {
		name string
		load lab.LoadOptions
		tick func(ctx context.Context, t *testing.T, dsn string, o verify.Options) error
	}{
		{"our ticks, set", lab.LoadOptions{Rate: 100, LongTransaction: time.Second}, ticksBy("set")},
		{"our ticks, function", lab.LoadOptions{Rate: 100, LongTransaction: time.Second}, ticksBy("function")},
		{"ticks of others that trail by a second", lab.LoadOptions{Rate: 100}, eagerTicks},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := rolledUp(t, lab.Gen272, lab.Typical(21, 2000))
			o := options(t)
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			failures := make(chan error, 2)
			go func() {
				_, err := lab.Load(ctx, db.DSN, c.load)
				failures <- err
			}()
			go func() { failures <- c.tick(ctx, t, db.DSN, o) }()
			deadline := time.Now().Add(6 * time.Second)
			looks := 0
			for ; time.Now().Before(deadline); looks++ {
				r := recount(t, db.DSN, o)
				if r.Verdict != verify.Clean {
					t.Fatalf("look %d: verdict %q, %+v wrong, the first: %+v", looks, r.Verdict, r.Wrong, r.First)
				}
			}
			cancel()
			for range 2 {
				if err := <-failures; err != nil {
					t.Error(err)
				}
			}
			if looks < 3 {
				t.Errorf("only %d looks in all that time", looks)
			}
		})
	}
}

// ticksBy rolls up again and again, as our timer does. The horizon trails by
// five minutes, so it is the queue that these ticks work off.
func ticksBy(engine string) func(context.Context, *testing.T, string, verify.Options) error {
	return func(ctx context.Context, t *testing.T, dsn string, o verify.Options) error {
		c := connector(t, dsn)
		for ctx.Err() == nil {
			w := rollup.New(c, rollup.Options{
				Command: "run", Engine: engine, Known: o.Known, Walk: o.Walk, Reconnect: time.Second, LockPatience: time.Second,
				StateDir: o.StateDir, Log: o.Log,
			})
			err := w.Open(ctx)
			if err == nil {
				err = w.Run(ctx)
			}
			w.Close(ctx)
			if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
				return err
			}
		}
		return nil
	}
}

// eagerTicks moves the watermark to a second ago with the database's function,
// so that what the load writes becomes due while it is recounted. One snapshot
// keeps the function from deleting what it did not read; it must not be older
// than the lock, or it would roll up a workspace that was torn down meanwhile.
func eagerTicks(ctx context.Context, t *testing.T, dsn string, _ verify.Options) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	moved := 0
	for ctx.Err() == nil {
		err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			var free bool
			if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock(4246)").Scan(&free); err != nil || !free {
				return err
			}
			_, err := tx.Exec(ctx, `with s as (select watermark_at as f, now() - interval '1 second' as t from task_usage_hourly_rollup_state),
				r as (select rollup_task_usage_hourly_window(f, t) from s)
				update task_usage_hourly_rollup_state set watermark_at = s.t from s, r`)
			return err
		})
		var server *pgconn.PgError
		switch {
		case err == nil:
			moved++
		case ctx.Err() != nil, errors.As(err, &server) && server.Code == "40001":
		default:
			return err
		}
	}
	if moved < 3 {
		return errors.New("the watermark hardly moved")
	}
	return nil
}
