package scheduler_test

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/state"
	"github.com/multica-rollup/multica-rollup/internal/status"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// moonlight is a kind that nobody has heard of.
func moonlight() []scheduler.Kind {
	return append(scheduler.Kinds(), scheduler.Kind{
		Name: "moon", Called: "moonlight", Beside: "wait for the new moon",
		Read: func(context.Context, scheduler.Source) ([]scheduler.Scheduler, error) {
			ran, ok := time.Now().Add(-time.Minute), false
			return []scheduler.Scheduler{{
				Detail: "phase 3", InFull: "phase 3 of four", Schedule: "each night", Active: true, LastRun: &ran, LastOK: &ok,
				Stop: scheduler.Stop{Setting: `run.standby_lag = "28d"`},
			}}, nil
		},
	})
}

// TestAKindIsAddedInOnePlace has everybody who asks for schedulers meet a kind of the table's alone.
func TestAKindIsAddedInOnePlace(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	connector, err := pg.NewConnector(db.DSN, "multica-rollup/test")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("status", func(t *testing.T) {
		s, err := status.Gather(t.Context(), status.Options{
			Connector: connector, Known: pipeline.Shipped(), Schedulers: moonlight(), Engine: "auto", Now: time.Now,
			Store: func(*pipeline.Pipeline) *state.Store {
				return state.Inspect(t.TempDir(), state.Key("7", "", "database"), "database")
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Schedulers) != 1 || s.Schedulers[0].Kind != "moon" {
			t.Errorf("schedulers %+v", s.Schedulers)
		}
		if !slices.ContainsFunc(s.Findings, func(f report.Finding) bool { return f.Text == "the last run of moonlight phase 3 failed" }) {
			t.Errorf("findings %+v, want that the last run failed", s.Findings)
		}
		var text bytes.Buffer
		if err := report.WriteStatus(&text, s, report.Style{}); err != nil || !strings.Contains(text.String(), "moonlight phase 3, each night: last run") {
			t.Errorf("%v:\n%s", err, text.String())
		}
	})
	t.Run("doctor", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "rollup.toml")
		if err := os.WriteFile(path, []byte("dsn = "+strconv.Quote(db.DSN)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := config.Load(config.Options{Path: path, Explicit: true})
		if err != nil {
			t.Fatal(err)
		}
		r := doctor.Examine(t.Context(), &doctor.Env{
			Config: loaded, ConfigPath: path, Connector: connector, Known: pipeline.Shipped(), Schedulers: moonlight(), Now: time.Now,
			Root: t.TempDir(), StateDir: t.TempDir(), Limits: doctor.DefaultLimits(),
			Units: func(context.Context) (*units.Units, error) {
				return &units.Units{Timer: &units.Timer{Enabled: true, Active: true}}, nil
			},
		}, doctor.All())
		for _, f := range r.Findings {
			if f.ID == "duplicates" && f.Fix != nil && f.Fix.Setting == `run.standby_lag = "28d"` &&
				strings.Contains(strings.Join(f.Evidence, "\n"), "moonlight: phase 3 of four, last at ") {
				return
			}
		}
		t.Errorf("no finding of the duplicate: %+v", r.Findings)
	})
	t.Run("pgcron", func(t *testing.T) {
		s, err := pgcron.New(connector, pipeline.Shipped(), moonlight(), nil).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Second) != 1 || s.Second[0] != (pgcron.Scheduler{What: "moonlight phase 3", Stop: "wait for the new moon"}) {
			t.Errorf("schedulers %+v", s.Second)
		}
	})
}

// TestNobodyElseKnowsAKind names the files that tell one kind from another, besides the table.
func TestNobodyElseKnowsAKind(t *testing.T) {
	allowed := map[string]string{
		"pgcron/status.go":          "has its own, richer view of pg_cron",
		"pgcron/catalog/catalog.go": "names pg_cron's library, which is called as the kind",
	}
	known := map[string]bool{}
	for _, k := range scheduler.Kinds() {
		known[strconv.Quote(k.Name)] = true
	}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "lab" || name == "scheduler"): // the lab's are packages of PostgreSQL
			return fs.SkipDir
		case entry.IsDir(), filepath.Ext(path) != ".go", strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		knows := false
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				knows = knows || known[n.Value]
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				knows = knows || ok && x.Name == "scheduler" && n.Sel.Name == "PgCron"
			}
			return true
		})
		if _, ok := allowed[name]; ok != knows {
			t.Errorf("%s knows a kind of scheduler: %t, want %t", name, knows, ok)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
