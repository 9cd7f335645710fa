package doctor_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// cause is one thing that is wrong, made for real.
type cause struct {
	name string
	gen  lab.Generation // 272 where it does not matter
	make func(*patient)

	id      string
	verdict doctor.Verdict
	fix     string // what the printed fix contains
	says    string // what the summary or the evidence contains; may be empty
	// mend carries out a fix in words; nil where the fix is a command or a statement.
	mend func(*patient)
	// then are the checks that the fix leads to: what it uncovers, each with its own fix.
	then []string
	// standIn says that the cause is told to doctor by a stand-in instead of made.
	standIn bool
	// needs is a part of PostgreSQL that some builds lack; "" where there is none.
	needs string
}

// treat produces the cause on p, demands that doctor names it alone, carries out
// the fix that doctor gives, and demands that all is well then.
func (c cause) treat(t *testing.T, p *patient) {
	t.Helper()
	if c.needs != "" {
		labtest.Need(t, c.needs)
	}
	p.wellNow()
	c.make(p)
	f := p.only(c.id)
	if f.Verdict != c.verdict {
		t.Errorf("verdict %s, want %s", f.Verdict, c.verdict)
	}
	if !strings.Contains(f.Fix.String(), c.fix) {
		t.Errorf("fix %q does not hold %q", f.Fix, c.fix)
	}
	if all := f.Summary + "\n" + strings.Join(f.Evidence, "\n"); !strings.Contains(all, c.says) {
		t.Errorf("nothing says %q:\n%s", c.says, all)
	}
	p.carryOut(f, c.mend)
	for _, next := range c.then {
		p.carryOut(p.only(next), nil)
	}
	p.wellNow()
}

// only demands that a single finding is not ok, that of the check, and returns it.
func (p *patient) only(id string) doctor.Finding {
	p.t.Helper()
	r := p.examine()
	var bad []string
	for _, f := range r.Findings {
		if f.Verdict != doctor.OK {
			bad = append(bad, f.ID)
		}
	}
	if len(bad) != 1 || bad[0] != id {
		p.t.Fatalf("found %q, want %q alone:\n%s", bad, id, text(r))
	}
	p.t.Logf("\n%s", text(r))
	if r.Findings[0].Fix == nil {
		p.t.Fatalf("%s comes without a fix", id)
	}
	return r.Findings[0]
}

// carryOut does what a fix says.
func (p *patient) carryOut(f doctor.Finding, mend func(*patient)) {
	p.t.Helper()
	fix := f.Fix
	switch {
	case mend != nil:
		mend(p)
	case fix.SQL != "", strings.HasPrefix(fix.Command, "psql "):
		p.psql(fix.String())
	case fix.Setting != "":
		key, value, _ := strings.Cut(fix.Setting, " = ")
		p.lines[key] = value
	case strings.HasPrefix(fix.Command, "multica-rollup "):
		once, _, _ := strings.Cut(fix.Command, " --every ")
		p.cli(once)
	case strings.HasPrefix(fix.Command, "systemctl "):
		p.systemctl(strings.TrimPrefix(fix.Command, "systemctl "))
	case strings.HasPrefix(fix.Command, "chmod "), strings.HasPrefix(fix.Command, "rm "), strings.HasPrefix(fix.Command, "install "):
		if !strings.Contains(fix.Command, p.dir) {
			p.t.Fatalf("%s: touches what is not the test's", fix)
		}
		if out, err := exec.CommandContext(p.t.Context(), "/bin/sh", "-c", fix.Command).CombinedOutput(); err != nil {
			p.t.Fatalf("%s: %v\n%s", fix, err, out)
		}
	default:
		p.t.Fatalf("nobody knows how to do this: %s", fix)
	}
}

// psql runs a fix as it is printed, in a shell, as the superuser of the server.
func (p *patient) psql(printed string) {
	p.t.Helper()
	server, err := pgx.ParseConfig(p.server.DSN("postgres"))
	if err != nil {
		p.t.Fatal(err)
	}
	shell := exec.CommandContext(p.t.Context(), "/bin/sh", "-c", printed)
	shell.Env = append(os.Environ(), "PGHOST="+server.Host, fmt.Sprintf("PGPORT=%d", server.Port), "PGUSER="+server.User, "PGPASSWORD="+server.Password)
	if out, err := shell.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", printed, err, out)
	}
}

// systemctl does to the fake of the service manager what the real one would do.
func (p *patient) systemctl(command string) {
	p.t.Helper()
	now := time.Now()
	if p.units.Timer == nil {
		p.units.Timer = &units.Timer{Name: "multica-rollup.timer"}
	}
	timer := p.units.Timer
	if unit, found := strings.CutPrefix(command, "unmask "); found {
		timer.Masked = false
		_, command, _ = strings.Cut(unit, " && systemctl ")
	}
	if unit, found := strings.CutPrefix(command, "revert "); found {
		timer.Overrides, p.units.Service.Overrides = nil, nil
		_, command, _ = strings.Cut(unit, " && systemctl ")
	}
	switch command {
	case "enable --now multica-rollup.timer":
		timer.Enabled, timer.Active, timer.Last, timer.Next = true, true, now, now.Add(5*time.Minute)
	case "enable multica-rollup.timer":
		timer.Enabled = true
	case "start multica-rollup.timer", "restart multica-rollup.timer":
		timer.Active, timer.Last, timer.Next = true, now, now.Add(5*time.Minute)
	case "start multica-rollup.service":
		p.cli("multica-rollup --config " + p.configPath() + " run")
		p.units.Service.State, p.units.Service.Result, p.units.Service.Exit, p.units.Service.Ended = "inactive", "success", 0, now
	case "start multica-rollup-backfill.service":
		p.cli("multica-rollup --config " + p.configPath() + " backfill")
	default:
		p.t.Fatalf("systemctl %s is not what a fix should say", command)
	}
}

// use writes usage of that age, as the application does.
func (p *patient) use(age time.Duration) {
	p.t.Helper()
	p.exec(`insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
		select id, 'lab', $1, 100, now() - make_interval(secs => $2), now() - make_interval(secs => $2)
		from agent_task_queue where runtime_id is not null order by id limit 1`, fmt.Sprint("model-", age), age.Seconds())
}

// neglect makes the database one that nobody has rolled up for hours.
func (p *patient) neglect() {
	p.t.Helper()
	p.exec(`update task_usage_hourly_rollup_state
		set last_run_finished_at = now() - interval '3 hours', watermark_at = now() - interval '4 hours'`)
	p.use(3 * time.Hour)
}

// unroll makes the database one that nobody ever rolled up.
func (p *patient) unroll() {
	p.t.Helper()
	p.forget() // an agent that is new there
	p.exec("truncate task_usage_hourly")
	p.exec(`update task_usage_hourly_rollup_state
		set watermark_at = default, last_run_started_at = null, last_run_finished_at = null, last_run_rows = 0`)
}

// connect opens another session of the superuser, closed with the test.
func (p *patient) connect() *pgx.Conn {
	p.t.Helper()
	conn, err := pgx.Connect(p.t.Context(), p.server.DSN(p.name))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// commit ends the transaction that was begun last.
func (p *patient) commit() {
	p.t.Helper()
	if _, err := p.open.Exec(p.t.Context(), "commit"); err != nil {
		p.t.Fatal(err)
	}
}

// begin opens a transaction that stays open and has begun with the statement.
func (p *patient) begin(sql string) *pgx.Conn {
	p.t.Helper()
	conn := p.connect()
	p.open = conn
	for _, s := range []string{"begin", sql} {
		if _, err := conn.Exec(p.t.Context(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
	return conn
}
