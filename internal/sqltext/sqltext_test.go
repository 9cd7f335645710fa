package sqltext_test

import (
	"embed"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql
var files embed.FS

func TestPartsAreIncludedAndMarkedLinesLeftOut(t *testing.T) {
	f := sqltext.Files{FS: files}
	with, without := f.Statement("sample"), f.For("sample", false)
	if with != "select a,\n       b, -- 213\n       c\nfrom t -- 213 is a number\n" {
		t.Errorf("with the cost columns:\n%s", with)
	}
	if without != "select a,\n       c\nfrom t -- 213 is a number\n" {
		t.Errorf("without the cost columns:\n%s", without)
	}
}

func TestAnUnknownNamePanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(error).Error(), "absent") {
			t.Errorf("recovered %v, want the name of the file", r)
		}
	}()
	sqltext.Files{FS: files}.Statement("absent")
}
