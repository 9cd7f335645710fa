package journal

import (
	"log/slog"
	"strings"
	"testing"
)

func TestAnEntryTakesThePlaceOfTheProgressLineAndHasItDrawnAgain(t *testing.T) {
	var out strings.Builder
	term := &Terminal{out: &out, width: func() int { return 80 }}
	log := slog.New(NewHandler(Options{Stderr: term, Format: Auto, Getenv: func(string) string { return "" }}))
	term.Progress("rolling up: 1 %")
	log.Info("the backfill begins")
	term.Progress("")
	log.Info("history is rolled up")
	want := "\r\x1b[Krolling up: 1 %" +
		"\r\x1b[Kmultica-rollup: the backfill begins\nrolling up: 1 %" +
		"\r\x1b[Kmultica-rollup: history is rolled up\n"
	if out.String() != want {
		t.Errorf("drawn:\n%q\nwant:\n%q", out.String(), want)
	}
}

func TestTheProgressLineIsCutAtAWholePart(t *testing.T) {
	for _, c := range []struct {
		width      int
		line, want string
	}{
		{40, "rolling up: 5.6 %", "rolling up: 5.6 %"},
		{40, "rolling up: 5.6 %, 2m8s left, 121,207 rows/s (4,000 of 9,000 rows)", "rolling up: 5.6 %, 2m8s left…"},
		{60, "rolling up: 5.6 %, 2m8s left, 121,207 rows/s (4,000 of 9,000 rows)", "rolling up: 5.6 %, 2m8s left, 121,207 rows/s…"},
		{20, "waiting: the pause file /run/multica-rollup.pause is there", "waiting: the pause…"},
		{20, "a line of 20 columns", "a line of 20 colum…"},
		{21, "a line of 20 columns", "a line of 20 columns"},
	} {
		if got := fit(c.line, c.width); got != c.want {
			t.Errorf("%d columns: %q, want %q", c.width, got, c.want)
		}
	}
}
