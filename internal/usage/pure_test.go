package usage

import (
	"math/big"
	"strings"
	"testing"
	"time"
)

func number(t *testing.T, s string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		t.Fatalf("%q is not a number", s)
	}
	return n
}

func TestCountsAreShortened(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1K", "1001": "1.0K", "1050": "1.1K", "12100": "12.1K", "999949": "999.9K", "999950": "1.0M",
		"1000000": "1M", "1004000000": "1.0B", "622400000": "622.4M", "1500000000000": "1.5T", "123456000000000000": "123456T", "-2500": "-2.5K",
	} {
		if got := Short(number(t, in)); got != want {
			t.Errorf("Short(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestCostsAreExactAndRounded(t *testing.T) {
	for in, want := range map[string][2]string{
		"0": {"0", "$0"}, "1": {"0.0000000001", "<$0.01"}, "123100000000": {"12.31", "$12.31"}, "10000000000": {"1", "$1.00"},
		"400000000": {"0.04", "$0.04"}, "49999999": {"0.0049999999", "<$0.01"}, "50000000": {"0.005", "$0.01"},
		"-15000000000": {"-1.5", "-$1.50"}, "92233720368547758070000000000": {"9223372036854775807", "$9223372036854775807.00"},
	} {
		if got := [2]string{Dollars(number(t, in)), Cents(number(t, in))}; got != want {
			t.Errorf("%s ticks are %q, want %q", in, got, want)
		}
	}
}

func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		today    string
		when     When
		from, to string
	}{
		{"2026-09-22", When{Days: 1}, "2026-09-22", "2026-09-22"},
		{"2026-09-22", When{Days: 30}, "2026-08-24", "2026-09-22"},
		{"2026-09-22", When{Weeks: 1}, "2026-09-21", "2026-09-22"}, // a Tuesday
		{"2026-09-21", When{Weeks: 2}, "2026-09-14", "2026-09-21"},
		{"2026-09-27", When{Weeks: 1}, "2026-09-21", "2026-09-27"}, // a Sunday
		{"2026-01-01", When{Weeks: 1}, "2025-12-29", "2026-01-01"},
		{"2026-09-22", When{Since: "2026-02-28"}, "2026-02-28", "2026-09-22"},
		{"2026-09-22", When{Since: "2024-02-29", Until: "2024-02-29"}, "2024-02-29", "2024-02-29"},
	} {
		today, err := date(c.today)
		if err != nil || c.when.Check() != nil {
			t.Fatalf("%v: %v %v", c, err, c.when.Check())
		}
		from, to := c.when.Interval(today)
		if got := from.Format(DateLayout) + " " + to.Format(DateLayout); got != c.from+" "+c.to {
			t.Errorf("%+v on %s is %s, want %s %s", c.when, c.today, got, c.from, c.to)
		}
	}
}

func TestImpossibleIntervalsAreRefused(t *testing.T) {
	for _, w := range []When{
		{}, {Days: -1}, {Days: MostDays + 1}, {Weeks: -1}, {Weeks: MostWeeks + 1}, {Days: 1, Weeks: 1}, {Days: 1, Since: "2026-01-01"},
		{Weeks: 1, Until: "2026-01-01"}, {Until: "2026-01-01"}, {Since: "2026-1-1"}, {Since: "2026-02-30"}, {Since: "yesterday"},
		{Since: "2026-01-01", Until: "later"}, {Since: "2026-01-02", Until: "2026-01-01"}, {Since: "infinity"}, {Since: "20260101"},
	} {
		if w.Check() == nil {
			t.Errorf("%+v is accepted", w)
		}
	}
}

func TestPeriodsBeginOnTheirFirstDate(t *testing.T) {
	for _, c := range [][3]string{
		{"2026-09-22", Day, "2026-09-22"}, {"2026-09-22", Week, "2026-09-21"}, {"2026-09-27", Week, "2026-09-21"},
		{"2026-01-01", Week, "2025-12-29"}, {"2024-02-29", Month, "2024-02-01"}, {"", "", ""},
	} {
		if got := periodOf(c[0], c[1]); got != c[2] {
			t.Errorf("the %s of %s is %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

func TestNamesCannotActOnATerminalOrASpreadsheet(t *testing.T) {
	if got := printable("a\x1b[2J\n\u202eb名"); strings.ContainsAny(got, "\x1b\n\u202e") || !strings.HasSuffix(got, "名") {
		t.Errorf("printable is %q", got)
	}
	for in, want := range map[string]string{"=1+1": "'=1+1", "+1": "'+1", "-x": "'-x", "@x": "'@x", "\tx": "'\tx", "a=b": "a=b", "": "", "名": "名"} {
		if got := harmless(in); got != want {
			t.Errorf("harmless(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNamesArePaddedAndCutByColumns(t *testing.T) {
	for _, c := range []struct {
		in   string
		to   int
		want string
	}{{"ab", 4, "ab  "}, {"abcde", 4, "abc…"}, {"智能体", 6, "智能体"}, {"智能体助手", 6, "智能… "}, {"e\u0301", 2, "e\u0301 "}} {
		if got := pad(c.in, c.to); got != c.want || columnsOf(got) != c.to {
			t.Errorf("pad(%q, %d) = %q of %d columns, want %q", c.in, c.to, got, columnsOf(got), c.want)
		}
	}
}

func TestALimitLeavesOutButDoesNotForget(t *testing.T) {
	r := &Report{Query: Query{By: []Dimension{Agent}, Per: Day}, Watermark: time.Now()}
	for _, period := range []string{"2026-01-01", "2026-01-02"} {
		for _, id := range []string{"a", "b", "c"} {
			row := Row{Key: Key{Period: period, WorkspaceID: "w", AgentID: id, AgentState: Live}}
			row.Input.SetInt64(1)
			r.Rows = append(r.Rows, row)
		}
	}
	kept, omitted := r.Limit(1)
	if len(kept) != 2 || len(omitted) != 2 || kept[1].Period != "2026-01-02" {
		t.Errorf("kept %d, left out %d groups", len(kept), len(omitted))
	}
	if lines := r.blocks(1, false)[0].lines; len(lines) != 4 || lines[1].names[1] != "(2 more)" || lines[1].measures.Input.Int64() != 2 {
		t.Errorf("the table's lines are %+v", lines)
	}
	if kept, omitted := r.Limit(0); len(kept) != 6 || len(omitted) != 0 {
		t.Errorf("no limit keeps %d", len(kept))
	}
}
