package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLastLineCountsWhatRan(t *testing.T) {
	cases := []struct {
		name   string
		events string
		last   string
		exit   int
	}{
		{"subtests stand for their parent",
			`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA/one","Output":"x\n"}
{"Action":"output","Package":"p","Test":"TestA/two","Output":"x\n"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA/two"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}`,
			"3 passed, 0 failed", 0},
		{"a slash in a subtest's name makes no test of its own",
			`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/one/two"}
{"Action":"pass","Package":"p","Test":"TestA/one/two"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`,
			"1 passed, 0 failed", 0},
		{"a failed subtest is one failure",
			`{"Action":"fail","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}`,
			"1 passed, 1 failed", 1},
		{"a parent that fails by itself is one failure",
			`{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			"1 passed, 1 failed", 1},
		{"a skip is a failure",
			`{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}`,
			"1 passed, 1 failed", 1},
		{"what a build of PostgreSQL is listed to lack counts as neither",
			`{"Action":"output","Package":"p","Test":"TestA/one","Output":"    x_test.go:1: not run on PostgreSQL 18: pg_cron is not packaged for it\n"}
{"Action":"skip","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA/two"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`,
			"1 passed, 0 failed", 0},
		{"another part that is missing is a failure",
			`{"Action":"output","Package":"p","Test":"TestA","Output":"    x_test.go:1: not run on PostgreSQL 18: pgcrypto is not packaged for it\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}`,
			"1 passed, 1 failed", 1},
		{"a version that is not listed must run its tests",
			`{"Action":"output","Package":"p","Test":"TestA","Output":"    x_test.go:1: not run on PostgreSQL 14: pg_cron is not packaged for it\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}`,
			"1 passed, 1 failed", 1},
		{"a package that does not build is a failure",
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"./x.go:1: nonsense\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"fail","Package":"p"}`,
			"0 passed, 1 failed", 1},
		{"a test that was running when the binary died is a failure",
			`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: x\n"}
{"Action":"fail","Package":"p"}`,
			"0 passed, 1 failed", 1},
		{"a stream that is cut off is a failure",
			`{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}`,
			"1 passed, 1 failed", 1},
		{"no test at all is not a success",
			`{"Action":"skip","Package":"p"}`,
			"0 passed, 0 failed", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out, diagnostics strings.Builder
			exit := run(strings.NewReader(c.events+"\n"), &out, &diagnostics, "", false)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; last != c.last {
				t.Errorf("last line is %q, want %q; all:\n%s", last, c.last, out.String())
			}
			if exit != c.exit {
				t.Errorf("exit code is %d, want %d", exit, c.exit)
			}
		})
	}
}

func TestFailingOutputIsShownAndPassingOutputIsNot(t *testing.T) {
	events := `{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"loud\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
`
	var out, diagnostics strings.Builder
	run(strings.NewReader(events), &out, &diagnostics, "", false)
	if !strings.Contains(out.String(), "loud\n") || strings.Contains(out.String(), "quiet") {
		t.Errorf("output is:\n%s", out.String())
	}
}

func TestTestsNotRunAreCountedByReason(t *testing.T) {
	skip := `{"Action":"output","Package":"p","Test":"NAME","Output":"    x_test.go:1: not run on PostgreSQL 18: pg_cron is not packaged for it\n"}
{"Action":"skip","Package":"p","Test":"NAME"}
`
	events := strings.ReplaceAll(skip, "NAME", "TestA") + strings.ReplaceAll(skip, "NAME", "TestB") +
		`{"Action":"pass","Package":"p","Test":"TestC"}` + "\n" + `{"Action":"pass","Package":"p"}` + "\n"
	var out, diagnostics strings.Builder
	run(strings.NewReader(events), &out, &diagnostics, "", false)
	if want := "not run on PostgreSQL 18: 2 tests, pg_cron is not packaged for it\n1 passed, 0 failed\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("output is:\n%s\nwant at its end:\n%s", out.String(), want)
	}
}

func TestCountsAreAppendedToTheRecord(t *testing.T) {
	record := filepath.Join(t.TempDir(), "counts")
	events := `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p"}` + "\n"
	for range 2 {
		var out, diagnostics strings.Builder
		run(strings.NewReader(events), &out, &diagnostics, record, false)
	}
	got, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if want := "1 0\n1 0\n"; string(got) != want {
		t.Errorf("record holds %q, want %q", got, want)
	}
}
