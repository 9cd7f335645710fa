package spelling

import "testing"

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		word  string
		limit int
		want  string
	}{
		{"sslmod", 3, "sslmode"}, {"SSLMODE", 1, "sslmode"}, {"hots", 3, "host"}, {"hots", 2, ""}, {"completely different", 3, ""}, {"", 5, "port"},
	} {
		if got := Nearest(c.word, []string{"sslmode", "port", "host"}, c.limit); got != c.want {
			t.Errorf("%q within %d: %q, want %q", c.word, c.limit, got, c.want)
		}
	}
}
