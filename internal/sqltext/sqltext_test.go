package sqltext_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

var statements = sqltext.Embedded(fstest.MapFS{
	"sql/sample.sql":    file("select {{.}},\n{{template \"own\" .}}{{template \"everywhere\"}}from t\n"),
	"sql/part/own.sql":  file("  own.{{.}},\n"),
	"sql/part/gone.sql": file("{{.Missing}}"),
}, fstest.MapFS{"part/everywhere.sql": file("  1\n")})

func TestPartsOfThePackageAndSharedOnesAreIncluded(t *testing.T) {
	if got, want := statements.Text("sample", "a"), "select a,\n  own.a,\n  1\nfrom t\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnUnknownNameAndMissingDataPanic(t *testing.T) {
	for name, wants := range map[string]string{"absent": "absent", "gone": "Missing"} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(error).Error(), wants) {
					t.Errorf("%s: recovered %v, want an error that names %s", name, r, wants)
				}
			}()
			statements.Text(name, map[string]string{})
		}()
	}
}
