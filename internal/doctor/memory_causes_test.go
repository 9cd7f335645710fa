package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// memoryCauses are those that the agent remembers. All of what it remembers was
// written by the program itself, interrupted where that takes it.
func memoryCauses() []cause {
	return []cause{
		{
			name: "pg_restore into the same database", id: "incarnation", verdict: doctor.Warning, fix: " run", says: "was created anew",
			make: (*patient).restore, then: []string{"proven"}, needs: lacks.PgDump,
		}, {
			name: "a state directory that is empty again", id: "proven", verdict: doctor.Warning, fix: " backfill", says: "remembers no run",
			make: func(p *patient) {
				p.exec("delete from task_usage_hourly where bucket_hour < now() - interval '20 days'")
				p.forget()
			},
		}, {
			name: "VACUUM FULL of the hourly table", id: "proven", verdict: doctor.Warning, fix: " backfill", says: "all hours",
			make: func(p *patient) { p.exec("vacuum full task_usage_hourly") },
		}, {
			name: "an interrupted backfill", id: "backfill", verdict: doctor.Warning, fix: " backfill", says: "it goes on where it was",
			make: (*patient).interruptBackfill,
		}, {
			name: "a backfill that was killed a moment ago", id: "backfill", verdict: doctor.Warning, fix: " backfill", says: "was interrupted at",
			make: (*patient).killBackfill,
		}, {
			name: "a migration's stamp after our last run", id: "watermark-moved", verdict: doctor.Warning, fix: " run", says: "without a roll-up",
			make: (*patient).stamp,
		}, {
			name: "a gap that is still owed", id: "watermark-moved", verdict: doctor.Warning, fix: " run", says: "still to be rolled up again",
			make: func(p *patient) {
				p.stamp()
				// The next run notices, and ends before it comes to roll up anything.
				holder := p.begin("select pg_advisory_xact_lock(4246)")
				p.interrupted("run", func(m ledger.Memory, _ *ledger.Checkpoint) bool { return len(m.Deferred) > 0 })
				if _, err := holder.Exec(p.t.Context(), "rollback"); err != nil {
					p.t.Fatal(err)
				}
			},
		},
	}
}

// restore dumps the database and restores it into itself, as pg_restore --clean does.
func (p *patient) restore() {
	p.t.Helper()
	var bin string
	p.get(&bin, "select setting from pg_config() where name = 'BINDIR'")
	file := filepath.Join(p.dir, "dump")
	for _, args := range [][]string{
		{filepath.Join(bin, "pg_dump"), "--format=custom", "--file=" + file, p.dsn},
		{filepath.Join(bin, "pg_restore"), "--clean", "--exit-on-error", "--dbname=" + p.dsn, file},
	} {
		if out, err := exec.CommandContext(p.t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			p.t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
}

// forget empties the state directory.
func (p *patient) forget() {
	p.t.Helper()
	dir := filepath.Join(p.dir, "state")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o750)); err != nil {
		p.t.Fatal(err)
	}
}

// interruptBackfill runs a backfill that is ended in the middle of several slices.
func (p *patient) interruptBackfill() {
	p.t.Helper()
	p.muchHistory()
	p.interrupted("backfill --sleep-between-slices 1h", func(_ ledger.Memory, place *ledger.Checkpoint) bool { return place != nil && place.Done > 0 })
}

// stamp has the agent roll up, and then a migration's hook stamp the watermark
// as it does: five minutes ago, without a roll-up.
func (p *patient) stamp() {
	p.t.Helper()
	p.run()
	time.Sleep(1200 * time.Millisecond) // a run of another's may take a second beyond its window
	p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '5 minutes'")
}

// interrupted runs a command line of the program and interrupts it, as SIGTERM
// does, once what it remembers is as wanted.
func (p *patient) interrupted(command string, wanted func(ledger.Memory, *ledger.Checkpoint) bool) {
	p.t.Helper()
	p.configure()
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		args := append([]string{"--as-root", "--config", p.configPath()}, strings.Fields(command)...)
		ended <- cli.Run(ctx, args, strings.NewReader(""), &out, &out)
	}()
	store := p.store()
	for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(5 * time.Millisecond) {
		m, err := store.Load()
		place, perr := store.LoadCheckpoint()
		if err == nil && perr == nil && wanted(m, place) {
			break
		}
		if time.Now().After(deadline) {
			cancel()
			<-ended
			p.t.Fatalf("%s never came to where it is to be interrupted:\n%s", command, out.String())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		p.t.Fatalf("%s: %v\n%s", command, err, out.String())
	}
}

// muchHistory takes several slices.
func (p *patient) muchHistory() {
	p.t.Helper()
	if _, err := lab.Seed(p.t.Context(), p.conn, lab.Shape{Seed: 2, Tasks: 30_000, Months: 2}); err != nil {
		p.t.Fatal(err)
	}
	p.run()
}

// killBackfill runs a backfill as a process of its own, sees that doctor says that
// it is at work, and kills it.
func (p *patient) killBackfill() {
	p.t.Helper()
	p.muchHistory()
	p.configure()
	args := []string{"--as-root", "--config", p.configPath(), "backfill", "--sleep-between-slices", "1h"}
	command := exec.CommandContext(p.t.Context(), os.Args[0])
	command.Env = append(os.Environ(), programVariable+"="+strings.Join(args, "\n"))
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	store := p.store()
	for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(5 * time.Millisecond) {
		if place, err := store.LoadCheckpoint(); err == nil && place != nil && place.Done > 0 {
			break
		}
		if time.Now().After(deadline) {
			_ = command.Process.Kill()
			_ = command.Wait()
			p.t.Fatalf("it never came to its second slice:\n%s", out.String())
		}
	}
	said := p.said("backfill")
	if err := command.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = command.Wait() // it was killed
	if said.Verdict != doctor.OK || !strings.HasPrefix(said.Summary, "at work: ") {
		p.t.Errorf("while it works doctor says %s: %s", said.Verdict, said.Summary)
	}
	p.await("select not exists (select from pg_stat_activity where application_name = 'multica-rollup/backfill' and datname = current_database())")
}

// said is what a check finds, well or not.
func (p *patient) said(id string) doctor.Finding {
	p.t.Helper()
	for _, f := range p.examine().Findings {
		if f.ID == id {
			return f
		}
	}
	p.t.Fatalf("%s said nothing", id)
	return doctor.Finding{}
}

// TestABackfillElsewhereIsAtWork: what another host works at is not called interrupted here.
func TestABackfillElsewhereIsAtWork(t *testing.T) {
	p := newPatient(t, lab.Gen272)
	p.interruptBackfill()
	p.only("backfill")
	other := p.begin("set application_name = 'multica-rollup/backfill'")
	if f := p.said("backfill"); f.Verdict != doctor.OK || !strings.Contains(f.Summary, "another state directory") {
		t.Errorf("%s: %s", f.Verdict, f.Summary)
	}
	if err := other.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.await("select not exists (select from pg_stat_activity where application_name = 'multica-rollup/backfill' and datname = current_database())")
	p.only("backfill")
}

// TestWhatTheRoleMayNotReadOfTheLogIsSaid: a platform may keep it to itself; then a restart is judged by the hourly rows alone.
func TestWhatTheRoleMayNotReadOfTheLogIsSaid(t *testing.T) {
	p := newPatient(t, lab.Gen272)
	p.agent()
	p.exec("revoke execute on function pg_current_wal_flush_lsn() from public")
	p.forget()
	p.prove()
	f := p.examine("incarnation").Findings[0]
	if all := strings.Join(f.Evidence, "\n"); f.Verdict != doctor.OK || !strings.Contains(all, "may not read where the write-ahead log stands") {
		t.Errorf("%s: %s", f.Verdict, all)
	}
	if m := p.memory(); m.Incarnation == nil || m.Incarnation.Flushed != 0 || m.Incarnation.System == "" {
		t.Errorf("what may be read is not all there, or what may not: %+v", m.Incarnation)
	}
	p.wellNow()
}
