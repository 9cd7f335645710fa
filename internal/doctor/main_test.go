package doctor_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// programVariable has this binary be the program, with these arguments, one a line:
// what is to be killed has to be a process of its own.
const programVariable = "DOCTOR_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if args := os.Getenv(programVariable); args != "" {
		if cli.Run(context.Background(), strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The tests that run side by side wait, for pg_cron's next minute and for
	// servers to start: more of them at once than there are processors.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	labtest.Main(m)
}

// patient is a well installation: a database with usage, all of it rolled up, a
// configuration file, a state directory and a timer.
type patient struct {
	t      *testing.T
	gen    lab.Generation
	name   string // of the database
	server *lab.Server
	conn   *pgx.Conn // the superuser's
	open   *pgx.Conn // has a transaction open
	dir    string

	dsn    string            // of the configuration
	lines  map[string]string // its other keys
	env    *doctor.Env       // what is given besides; Config and Connector are made anew each time
	units  *units.Units      // nil where there is no systemd
	silent error             // of a systemd that does not answer
}

// newPatient makes a well installation of a generation.
func newPatient(t *testing.T, gen lab.Generation) *patient {
	t.Helper()
	db := labtest.New(t, gen)
	return admit(t, gen, db.Server, db.Name, db.Conn)
}

// admit makes a database of a server that already exists, and has no usage, a well installation.
func admit(t *testing.T, gen lab.Generation, server *lab.Server, name string, conn *pgx.Conn) *patient {
	t.Helper()
	p := admitUnrolled(t, gen, server, name, conn)
	p.run()
	return p
}

// admitUnrolled is admit without the rolling up.
func admitUnrolled(t *testing.T, gen lab.Generation, server *lab.Server, name string, conn *pgx.Conn) *patient {
	t.Helper()
	p := &patient{t: t, gen: gen, name: name, server: server, conn: conn, dir: t.TempDir(), dsn: server.DSN(name)}
	p.lines = map[string]string{"engine": `"set"`, "state_dir": fmt.Sprintf("%q", filepath.Join(p.dir, "state"))}
	if err := os.Mkdir(filepath.Join(p.dir, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Seed(t.Context(), conn, lab.Shape{Seed: 1, Tasks: 60, Months: 2, NoRuntime: noRuntime(gen)}); err != nil {
		t.Fatal(err)
	}
	p.env = &doctor.Env{Known: pipeline.Shipped(), Schedulers: scheduler.Kinds(), Now: time.Now, Root: filepath.Join(p.dir, "root"), Limits: doctor.DefaultLimits()}
	p.units = timerOn()
	return p
}

// timerOn is what systemd says of a timer that works.
func timerOn() *units.Units {
	now := time.Now()
	return &units.Units{
		Timer:   &units.Timer{Name: "multica-rollup.timer", Enabled: true, Active: true, Last: now.Add(-time.Minute), Next: now.Add(4 * time.Minute)},
		Service: &units.Service{Name: "multica-rollup.service", State: "inactive", Result: "success", Ended: now.Add(-time.Minute)},
	}
}

func noRuntime(gen lab.Generation) float64 {
	if gen == lab.Gen272 {
		return 0.1
	}
	return 0
}

func (p *patient) configPath() string { return filepath.Join(p.dir, "rollup.toml") }

// configure writes the configuration file, whose mode stays.
func (p *patient) configure() {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "dsn = %q\n", p.dsn)
	var sections strings.Builder
	for key, value := range p.lines {
		if section, name, ok := strings.Cut(key, "."); ok {
			fmt.Fprintf(&sections, "[%s]\n%s = %s\n", section, name, value)
		} else {
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
	}
	b.WriteString(sections.String())
	if err := os.WriteFile(p.configPath(), []byte(b.String()), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// examine runs all checks.
func (p *patient) examine(only ...string) *doctor.Report {
	p.t.Helper()
	p.configure()
	env := *p.env
	env.ConfigPath = p.configPath()
	env.Config, env.ConfigErr = config.Load(config.Options{Path: p.configPath(), Explicit: true})
	if env.ConfigErr == nil {
		env.StateDir = env.Config.StateDir
		connector, err := pg.NewConnector(env.Config.DSN, "multica-rollup/doctor")
		if err != nil {
			p.t.Fatal(err)
		}
		env.Connector = connector
	}
	env.Units = func(context.Context) (*units.Units, error) { return p.units, p.silent }
	return doctor.Examine(p.t.Context(), &env, doctor.All(), only...)
}

// wellNow demands that nothing is found.
func (p *patient) wellNow() {
	p.t.Helper()
	if r := p.examine(); r.Verdict != doctor.OK {
		p.t.Fatalf("not well:\n%s", text(r))
	}
}

func text(r *doctor.Report) string {
	var b bytes.Buffer
	_ = r.Write(&b, false) // a buffer takes everything
	return b.String()
}

// exec runs a statement as the superuser.
func (p *patient) exec(sql string, args ...any) {
	p.t.Helper()
	if _, err := p.conn.Exec(p.t.Context(), sql, args...); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

// cli runs a command line of the program in this process.
func (p *patient) cli(command string) {
	p.t.Helper()
	args, ok := strings.CutPrefix(command, "multica-rollup ")
	if !ok {
		p.t.Fatalf("not a command of the program: %s", command)
	}
	var out bytes.Buffer
	if err := cli.Run(p.t.Context(), append([]string{"--as-root"}, strings.Fields(args)...), strings.NewReader(""), &out, &out); err != nil {
		p.t.Fatalf("%s: %v\n%s", command, err, out.String())
	}
}

// run runs one tick of the agent.
func (p *patient) run() {
	p.t.Helper()
	p.configure()
	p.cli("multica-rollup --config " + p.configPath() + " run")
}

// prove makes a backfill.
func (p *patient) prove() {
	p.t.Helper()
	p.configure()
	p.cli("multica-rollup --config " + p.configPath() + " backfill")
}

// store is what the agent remembers of the database.
func (p *patient) store() *state.Store {
	p.t.Helper()
	var cluster string
	if err := p.conn.QueryRow(p.t.Context(), "select system_identifier::text from pg_control_system()").Scan(&cluster); err != nil {
		p.t.Fatal(err)
	}
	store, err := state.Open(filepath.Join(p.dir, "state"), state.Key(cluster, "", p.name), p.name)
	if err != nil {
		p.t.Fatal(err)
	}
	return store
}

// role makes a login of its own for the agent, dropped with the test.
func (p *patient) role(attributes string) string {
	p.t.Helper()
	name := "agent_" + p.name[max(0, len(p.name)-12):]
	p.exec("create role " + name + " login " + attributes)
	conn, server := p.conn, p.server
	p.t.Cleanup(func() {
		ctx := context.Background()
		_, _ = conn.Exec(ctx, "drop owned by "+name)
		_ = conn.Close(ctx)
		super, err := pgx.Connect(ctx, server.DSN("postgres"))
		if err != nil {
			p.t.Error(err)
			return
		}
		defer super.Close(ctx)
		if _, err := super.Exec(ctx, "drop role "+name); err != nil {
			p.t.Error(err)
		}
	})
	p.dsn = strings.Replace(p.server.DSN(p.name), "postgres@", name+"@", 1)
	return name
}

// fails runs a command line that has to fail.
func (p *patient) fails(command string) {
	p.t.Helper()
	p.configure()
	var out bytes.Buffer
	args := append([]string{"--as-root", "--config", p.configPath()}, strings.Fields(command)...)
	if err := cli.Run(p.t.Context(), args, strings.NewReader(""), &out, &out); err == nil {
		p.t.Fatalf("%s did not fail:\n%s", command, out.String())
	}
}
