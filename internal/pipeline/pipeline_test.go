package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
)

// labKnown registers the lab's own functions as if a release had brought them.
func labKnown(t *testing.T, conn *pgx.Conn) pipeline.Known {
	t.Helper()
	prints, err := lab.Fingerprints(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	known := pipeline.Shipped()
	known.Fingerprints = pipeline.Fingerprints{}
	for name, print := range prints {
		known.Fingerprints[name] = map[string]string{print: "lab"}
	}
	return known
}

func inspect(t *testing.T, conn *pgx.Conn, known pipeline.Known) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Inspect(t.Context(), conn, known)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryGenerationIsRecognised(t *testing.T) {
	for gen, want := range map[lab.Generation]pipeline.Generation{
		lab.Gen102: pipeline.Gen102, lab.GenInterrupted: pipeline.Gen102, lab.Gen213: pipeline.Gen213, lab.Gen272: pipeline.Gen272,
	} {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			p := inspect(t, db.Conn, pipeline.Shipped())
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			if p.Generation != want || p.HasCosts() != gen.HasCost() || p.Legacy != (gen == lab.GenInterrupted) {
				t.Errorf("generation %s, costs %v, legacy %v; want %s, %v, %v", p.Generation, p.HasCosts(), p.Legacy, want, gen.HasCost(), gen == lab.GenInterrupted)
			}
			for _, trigger := range p.Triggers {
				if !trigger.Present || !trigger.Enabled {
					t.Errorf("trigger %s: present %v, enabled %v", trigger.Name, trigger.Present, trigger.Enabled)
				}
			}
			if len(p.Triggers) != 4 || !p.ClientCheck || p.SystemIdentifier == "" || len(p.Missing()) > 0 {
				t.Errorf("triggers %d, client check %v, system identifier %q, missing %q", len(p.Triggers), p.ClientCheck, p.SystemIdentifier, p.Missing())
			}
		})
	}
}

func TestAutoTakesTheSetEngineOnlyWhereAllIsKnown(t *testing.T) {
	for _, c := range []struct {
		name, sql        string
		auto, set, cause string
	}{
		{"known", "", "set", "set", ""},
		{"one byte of the window function changed", "update pg_proc set prosrc = prosrc || ' ' where proname = 'rollup_task_usage_hourly_window'",
			"function", "set", "rollup_task_usage_hourly_window() has an unknown text"},
		{"one byte of the bucket function changed", "update pg_proc set prosrc = prosrc || ' ' where proname = 'task_usage_hour_bucket'",
			"function", "set", "task_usage_hour_bucket() has an unknown text"},
		{"one byte of a function that gates nothing changed", "update pg_proc set prosrc = prosrc || ' ' where proname = 'prune_task_usage_hourly_dirty'",
			"set", "set", ""},
		{"an unknown column on the hourly table", "alter table task_usage_hourly add tool_calls bigint", "function", "function", "task_usage_hourly has an unknown column tool_calls"},
		{"an unknown column on raw usage", "alter table task_usage add reasoning_tokens bigint", "function", "function", "task_usage has an unknown column reasoning_tokens"},
		{"an unknown column on the queue", "alter table task_usage_hourly_dirty add reason text", "function", "function", "task_usage_hourly_dirty has an unknown column reason"},
		{"no unique key on raw usage", "alter table task_usage drop constraint task_usage_task_id_provider_model_key", "function", "function", "task_usage is not unique"},
		{"no index by time of correction", "drop index idx_task_usage_updated_at", "function", "function", "no index on (updated_at)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, lab.Gen272)
			known := labKnown(t, db.Conn)
			if c.sql != "" {
				exec(t, db.Conn, c.sql)
			}
			p := inspect(t, db.Conn, known)
			for wanted, want := range map[string]string{"auto": c.auto, "set": c.set, "function": "function"} {
				chosen, reason, err := engine.Choose(wanted, p)
				if err != nil || chosen.Name() != want {
					t.Errorf("engine = %q: %v, %v; want %s", wanted, chosen, err, want)
					continue
				}
				if fellBack := wanted != "function" && want == "function"; fellBack != (reason != "") || !strings.Contains(reason, c.cause) && fellBack {
					t.Errorf("engine = %q: reason %q, want %q", wanted, reason, c.cause)
				}
			}
		})
	}
}

func TestTheShippedTableDoesNotKnowTheLab(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	chosen, reason, err := engine.Choose("auto", inspect(t, db.Conn, pipeline.Shipped()))
	if err != nil || chosen.Name() != "function" || !strings.Contains(reason, "unknown text") {
		t.Errorf("engine %v, reason %q, %v; the lab's functions are known to tests alone", chosen, reason, err)
	}
}

func TestWhatIsNoMulticaOfTheRightAgeIsRefusedWithAHint(t *testing.T) {
	for _, c := range []struct {
		name string
		gen  lab.Generation
		sql  string
		want string
		hint string
	}{
		{"no Multica at all", lab.Gen272, "drop schema public cascade; create schema public", "is not a Multica database", "DSN"},
		{"another search_path", lab.Gen272, "create schema elsewhere; set search_path = elsewhere", "is not a Multica database", "set search_path"},
		{"older than 101", lab.Gen097, "", "before v0.3.5", "upgrade"},
		{"a table is missing", lab.Gen272, "drop table task_usage_hourly_dirty", "no table task_usage_hourly_dirty", "doctor"},
		{"a function is missing", lab.Gen272, "drop function rollup_task_usage_hourly()", "no function rollup_task_usage_hourly()", "doctor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := labtest.New(t, c.gen)
			if c.sql != "" {
				exec(t, db.Conn, c.sql)
			}
			err := inspect(t, db.Conn, pipeline.Shipped()).Check()
			if problem.KindOf(err) != problem.Config || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(problem.HintOf(err), c.hint) {
				t.Errorf("got %v (hint %q), want %q and a hint with %q", err, problem.HintOf(err), c.want, c.hint)
			}
		})
	}
}

func TestDisabledAndDroppedTriggersAreSeen(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	exec(t, db.Conn, "alter table issue disable trigger trg_issue_delete_dirty_hourly; drop trigger trg_tu_dirty_hourly on task_usage")
	p := inspect(t, db.Conn, pipeline.Shipped())
	for _, name := range []string{"trg_issue_delete_dirty_hourly", "trg_tu_dirty_hourly"} {
		i := slices.IndexFunc(p.Triggers, func(x pipeline.Trigger) bool { return x.Name == name })
		if i < 0 || p.Triggers[i].Enabled || p.Triggers[i].Present != (name != "trg_tu_dirty_hourly") {
			t.Errorf("%s: %+v", name, p.Triggers)
		}
	}
}

func TestFingerprintsAreTheSHA256OfTheSource(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	want, err := lab.Fingerprints(t.Context(), db.Conn)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range inspect(t, db.Conn, pipeline.Shipped()).Functions {
		if f.Fingerprint != want[name] {
			t.Errorf("%s: %s, want %s", name, f.Fingerprint, want[name])
		}
	}
}
