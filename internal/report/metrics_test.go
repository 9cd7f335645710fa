package report

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// families returns what a text says of our metrics, in its order, as a name and a help.
func families(t *testing.T, path string, pattern *regexp.Regexp) (found [][2]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
		found = append(found, [2]string{match[1], match[2]})
	}
	return found
}

func TestEveryMetricIsWrittenAndInTheManual(t *testing.T) {
	var want [][2]string
	for _, m := range metrics {
		want = append(want, [2]string{metricPrefix + m.name, m.help})
	}
	const manual = "../../packaging/man/multica-rollup.1"
	if diff := cmp.Diff(want, families(t, manual, regexp.MustCompile(`(?m)^\.TP\n\.B (`+metricPrefix+`\w+)\n(.+)$`))); diff != "" {
		t.Errorf("section METRICS of %s (-table metrics +manual):\n%s", manual, diff)
	}
	// What another test compares with everything that a command may know.
	const golden = "testdata/textfile.prom"
	if diff := cmp.Diff(want, families(t, golden, regexp.MustCompile(`(?m)^# HELP (\w+) (.+)$`))); diff != "" {
		t.Errorf("%s (-table metrics +what is written):\n%s", golden, diff)
	}
}
