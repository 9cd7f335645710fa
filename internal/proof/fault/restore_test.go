package fault_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/status"
)

// restored is a database with a history, which its agent has rolled up in part.
type restored struct {
	t *testing.T
	c *cluster
	o rollup.Options
}

// halfway rolls up all of a history, spoils it, and interrupts a backfill in the middle: what is remembered is a checkpoint,
// and where it stands does not follow from the watermark.
func halfway(t *testing.T, c *cluster) *restored {
	t.Helper()
	r := &restored{t: t, c: c, o: options(t, "set")}
	r.o.HorizonDelay = time.Microsecond
	conn := c.fresh(t)
	seed(t, conn, 7, 1000)
	run(t, c.dsn(), r.o)
	exec1(t, conn, "update task_usage_hourly set input_tokens = input_tokens + 1")
	_ = conn.Close(t.Context()) // who restores the database wants it alone
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := r.o
	o.Observe = atSlice(6, cancel)
	if st := backfill(ctx, t, c.dsn(), o); st.Outcome != report.Interrupted {
		t.Fatalf("outcome %q, want interrupted", st.Outcome)
	}
	return r
}

// goesOn finishes the backfill and writes more, as after a backup.
func (r *restored) goesOn() {
	r.t.Helper()
	backfill(r.t.Context(), r.t, r.c.dsn(), r.o)
	conn := r.c.connect()
	exec1(r.t, conn, "update task_usage set output_tokens = output_tokens + 3, updated_at = now() where id in (select id from task_usage order by id limit 50)")
	_ = conn.Close(r.t.Context())
	run(r.t, r.c.dsn(), r.o)
}

// status looks as the command does.
func (r *restored) status() *report.Status {
	r.t.Helper()
	connector := connect(r.t, r.c.dsn(), "status")
	s, err := status.Gather(r.t.Context(), status.Options{
		Connector: connector, Known: pipeline.Shipped(), Schedulers: scheduler.Kinds(), Engine: "set", Now: time.Now,
		Store: func(p *pipeline.Pipeline) *state.Store {
			return state.Inspect(r.o.StateDir, state.Key(p.SystemIdentifier, connector.Target(), p.Database), connector.Target())
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// mends demands that it is never called OK as long as a row is wrong, that the next run notices what the text says, and that what
// status tells to type makes everything right, once.
func (r *restored) mends(noticed string) {
	r.t.Helper()
	if s := r.status(); s.Level == report.OK {
		r.t.Errorf("before the next run status says OK: %+v", s.Findings)
	}
	st := run(r.t, r.c.dsn(), r.o)
	if all := strings.Join(st.Warnings, "\n"); !strings.Contains(all, noticed) {
		r.t.Errorf("the run warns of %q, want %q", st.Warnings, noticed)
	}
	s := r.status()
	if s.Level == report.OK || s.Unproven == nil {
		r.t.Errorf("after the run status says %s, unproven %v", s.Level, s.Unproven)
	}
	if st := run(r.t, r.c.dsn(), r.o); noticed != "" && len(st.Warnings) > 0 {
		r.t.Errorf("it is noticed a second time: %q", st.Warnings)
	}
	backfill(r.t.Context(), r.t, r.c.dsn(), r.o)
	exact(r.t, r.c.connect(), "after what status told to type")
	if s := r.status(); s.Unproven != nil || s.Debts != nil {
		r.t.Errorf("after that status still says %+v", s.Findings)
	}
}

// tool runs one of PostgreSQL's own.
func (r *restored) tool(name string, args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(r.c.bin, name), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func TestADumpRestoredIntoItsDatabaseIsNoticed(t *testing.T) {
	labtest.Need(t, lacks.PgDump)
	c := newCluster(t)
	for _, into := range []string{"the same database", "a new one of its name"} {
		t.Run(into, func(t *testing.T) {
			r := halfway(t, c)
			dump := filepath.Join(t.TempDir(), "dump")
			r.tool("pg_dump", "--format=custom", "--file="+dump, c.dsn())
			r.goesOn()
			args := []string{"--exit-on-error", "--dbname=" + c.dsn(), dump}
			noticed := "was created anew"
			if into == "the same database" {
				args = append([]string{"--clean"}, args...)
			} else {
				admin, err := pgx.Connect(t.Context(), c.lab.DSN("postgres"))
				if err != nil {
					t.Fatal(err)
				}
				defer admin.Close(t.Context())
				exec1(t, admin, "drop database "+c.name+" with (force)", "create database "+c.name+" template template0")
			}
			r.tool("pg_restore", args...)
			r.mends(noticed)
		})
	}
}

// TestASnapshotPutBackInPlaceIsNoticed: identifier, oids and timeline are the same as before.
func TestASnapshotPutBackInPlaceIsNoticed(t *testing.T) {
	for _, more := range []bool{false, true} {
		t.Run(map[bool]string{false: "at once", true: "and more written than had been"}[more], func(t *testing.T) {
			c := newCluster(t)
			r := halfway(t, c)
			c.halt()
			snapshot := filepath.Join(c.dir, "snapshot")
			r.copy(c.data, snapshot)
			c.start()
			r.goesOn()
			c.halt()
			if err := os.RemoveAll(c.data); err != nil {
				t.Fatal(err)
			}
			r.copy(snapshot, c.data)
			c.start()
			if more {
				exec1(t, c.connect(), "create table filler as select repeat('x', 500) as x from generate_series(1, 20000)")
			}
			r.mends("set aside")
		})
	}
}

// copy copies a data directory with its owners and modes.
func (r *restored) copy(from, to string) {
	r.t.Helper()
	if out, err := exec.CommandContext(r.t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		r.t.Fatalf("copying: %v\n%s", err, out)
	}
}

// TestAStandbyThatWasBehindIsNoticedWhenItIsPromoted, and one that was level is not.
func TestAStandbyThatWasBehindIsNoticedWhenItIsPromoted(t *testing.T) {
	for _, level := range []bool{false, true} {
		t.Run(map[bool]string{false: "behind", true: "level"}[level], func(t *testing.T) {
			primary := newCluster(t)
			r := halfway(t, primary)
			standby := primary.standby()
			if !level {
				conn := standby.connect()
				exec1(t, conn, "alter system set primary_conninfo = ''")
				exec1(t, conn, "select pg_reload_conf()")
				labtest.Until(t, "the standby follows no more", func() error {
					if get[int64](t, conn, "select count(*) from pg_stat_wal_receiver") > 0 {
						return errors.New("it still does")
					}
					return nil
				})
			}
			r.goesOn()
			if level {
				end := get[string](t, primary.connect(), "select pg_current_wal_flush_lsn()::text")
				labtest.Until(t, "the standby has all of it", func() error {
					if !get[bool](t, standby.connect(), "select pg_last_wal_replay_lsn() >= '"+end+"'") {
						return errors.New("it has not")
					}
					return nil
				})
			}
			primary.crash()
			standby.promote()
			standby.name = primary.name
			r.c = standby
			if !level {
				r.mends("set aside")
				return
			}
			if st := run(t, standby.dsn(), r.o); len(st.Warnings) > 0 {
				t.Errorf("warnings %q", st.Warnings)
			}
			if s := r.status(); s.Unproven != nil {
				t.Errorf("unproven: %s", s.Unproven.Text())
			}
			exact(t, standby.connect(), "on the new primary")
		})
	}
}

// TestAnOrdinaryMonthTakesNothingAway: what happens to every database withdraws no memory; only files that were written anew withdraw proofs.
func TestAnOrdinaryMonthTakesNothingAway(t *testing.T) {
	c := newCluster(t)
	r := halfway(t, c)
	backfill(t.Context(), t, c.dsn(), r.o)
	for _, event := range []struct {
		name   string
		happen func()
		proofs bool // are withdrawn
	}{
		{"a restart", func() { c.halt(); c.start() }, false},
		{"a crash", c.crashAndStart, false},
		{"a crash in the middle of a run", func() {
			exec1(t, c.connect(), "update task_usage set output_tokens = output_tokens + 3, updated_at = now() where id in (select id from task_usage order by id limit 500)")
			o := r.o
			o.Observe = atSlice(3, c.crashAndStart)
			run(t, c.dsn(), o)
		}, false},
		{"REINDEX", func() { exec1(t, c.connect(), "reindex table task_usage_hourly", "reindex table task_usage") }, false},
		{"VACUUM and ANALYZE", func() { exec1(t, c.connect(), "vacuum analyze task_usage_hourly") }, false},
		{"another program's ticks", func() {
			exec1(t, c.connect(), "update task_usage set output_tokens = output_tokens + 3, updated_at = now() where id in (select id from task_usage order by id limit 50)", "select rollup_task_usage_hourly()")
		}, false},
		{"every row of ours rolled up again by others", func() { exec1(t, c.connect(), "update task_usage_hourly set updated_at = now()"); c.halt(); c.start() }, false},
		{"VACUUM FULL", func() { exec1(t, c.connect(), "vacuum full task_usage_hourly") }, true},
		{"CLUSTER", func() { exec1(t, c.connect(), "cluster task_usage using task_usage_pkey") }, true},
	} {
		event.happen()
		if st := run(t, c.dsn(), r.o); len(st.Warnings) > 0 {
			t.Errorf("%s: warnings %q", event.name, st.Warnings)
		}
		s := r.status()
		if withdrawn := s.Unproven != nil; withdrawn != event.proofs {
			t.Errorf("%s: unproven %+v, want that: %t", event.name, s.Unproven, event.proofs)
		}
		if event.proofs {
			backfill(t.Context(), t, c.dsn(), r.o)
		}
		exact(t, c.connect(), "after "+event.name)
	}
}

// TestAnOldStateDirectoryPutBackLosesNothing: what was deferred after the copy lies in the gap that its watermark leaves.
func TestAnOldStateDirectoryPutBackLosesNothing(t *testing.T) {
	c := newCluster(t)
	r := halfway(t, c)
	old := filepath.Join(t.TempDir(), "old")
	r.copy(r.o.StateDir, old)
	conn := c.connect()
	r.o.Walk.HorizonHold = 0 // whoever is open is passed at once
	tx, err := c.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Open since before the watermark, as far as its rows tell.
	if _, err := tx.Exec(t.Context(), "update task_usage set cache_read_tokens = cache_read_tokens + 9, updated_at = now() where id in (select id from task_usage order by id desc limit 40)"); err != nil {
		t.Fatal(err)
	}
	r.goesOn() // passes it
	if err := errors.Join(os.RemoveAll(r.o.StateDir), os.Rename(old, r.o.StateDir)); err != nil && !errors.Is(err, fs.ErrExist) {
		r.copy(old+"/.", r.o.StateDir) // another file system
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, c.dsn(), r.o)
	if s := r.status(); s.Level == report.OK {
		t.Error("a backfill of before is unfinished, and status says OK")
	}
	backfill(t.Context(), t, c.dsn(), r.o)
	exact(t, conn, "after an old state directory was put back")
}

// TestUnrolledUsageBehindAStampedWatermarkIsNotOK: an agent that is installed after the stamp has seen nothing of it.
func TestUnrolledUsageBehindAStampedWatermarkIsNotOK(t *testing.T) {
	c := newCluster(t)
	conn := c.fresh(t)
	seed(t, conn, 8, 1000)
	exec1(t, conn, "update task_usage_hourly_rollup_state set watermark_at = now() - interval '5 minutes', last_run_finished_at = now()")
	r := &restored{t: t, c: c, o: options(t, "set")}
	r.o.HorizonDelay = time.Microsecond
	r.mends("")
}
