package doctor_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixed is a check with a given outcome.
func fixed(id string, verdict doctor.Verdict, needs, explained []string) doctor.Check {
	return doctor.Check{ID: id, Title: id, Needs: needs, ExplainedBy: explained, Run: func(context.Context, *doctor.Env) doctor.Finding {
		f := doctor.Finding{Verdict: verdict, Summary: id + " is " + string(verdict)}
		if verdict != doctor.OK {
			f.Fix = &doctor.Fix{Command: "mend " + id}
		}
		return f
	}}
}

func TestWhatFollowsFromACauseIsToldWithIt(t *testing.T) {
	checks := []doctor.Check{
		fixed("cause", doctor.Warning, nil, nil),
		fixed("symptom", doctor.Critical, nil, []string{"cause"}),
		fixed("further", doctor.Warning, nil, []string{"symptom"}),
		fixed("well", doctor.OK, nil, []string{"cause"}),
		fixed("apart", doctor.Warning, nil, []string{"well"}),
	}
	r := doctor.Examine(t.Context(), &doctor.Env{}, checks)
	var got []string
	for _, f := range r.Findings {
		got = append(got, strings.TrimSpace(string(f.Verdict)+" "+f.ID+" "+strings.Join(f.Evidence, "; ")))
	}
	// The cause is as bad as the worst of what follows from it.
	want := []string{
		"critical cause therefore: symptom is critical; therefore: further is warning",
		"warning apart", "ok well",
	}
	if diff := cmp.Diff(want, got); diff != "" || r.Verdict != doctor.Critical {
		t.Errorf("verdict %s, findings (-want +got):\n%s", r.Verdict, diff)
	}
}

func TestWhatCannotBeLookedAtIsNotRun(t *testing.T) {
	for verdict, want := range map[doctor.Verdict][]string{
		doctor.OK: nil, doctor.Warning: nil, doctor.Unknown: {"next", "last"}, doctor.Critical: {"next", "last"},
	} {
		checks := []doctor.Check{
			fixed("first", verdict, nil, nil), fixed("next", doctor.OK, []string{"first"}, nil), fixed("last", doctor.OK, []string{"next"}, nil),
		}
		r := doctor.Examine(t.Context(), &doctor.Env{}, checks)
		if diff := cmp.Diff(want, r.NotRun); diff != "" || r.Verdict != verdict {
			t.Errorf("%s: verdict %s, not run (-want +got):\n%s", verdict, r.Verdict, diff)
		}
	}
}

func TestVerdictsEndInAPluginsCodes(t *testing.T) {
	var codes []int
	worst := doctor.OK
	for _, v := range []doctor.Verdict{doctor.OK, doctor.Unknown, doctor.Warning, doctor.Critical} {
		if worst = doctor.Worse(v, worst); worst != v {
			t.Errorf("%s is not worse than what comes before it", v)
		}
		codes = append(codes, v.ExitCode())
	}
	if diff := cmp.Diff([]int{0, 3, 1, 2}, codes); diff != "" {
		t.Error(diff)
	}
}

func TestTheTextFitsATerminalAndItsFixesCanBeCopied(t *testing.T) {
	long := strings.Repeat("a long word ", 20)
	report := doctor.Report{
		Findings: []doctor.Finding{
			{ID: "one", Verdict: doctor.Critical, Summary: long, Evidence: []string{long, "short"}, Fix: &doctor.Fix{SQL: `grant x to "a-b", 'c'`, Database: "my db"}},
			{ID: "two", Verdict: doctor.Warning, Summary: "short", Fix: &doctor.Fix{Setting: `run.standby_lag = "15m"`}},
			{ID: "three", Verdict: doctor.OK, Summary: "fine"},
		},
		NotRun: []string{"four", "five"},
	}
	for name, verbose := range map[string]bool{"brief": false, "verbose": true} {
		var b strings.Builder
		if err := report.Write(&b, verbose); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if len(line) > 80 && !strings.HasPrefix(line, "    fix: ") {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
