package verify

import (
	"embed"
	"strings"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statement returns an embedded statement. Lines that end in "-- 213" are left
// out for databases without the cost columns.
func statement(name string, costs bool) string {
	b, err := sqlFiles.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if costs || !strings.HasSuffix(strings.TrimRight(line, "\n"), "-- 213") {
			out.WriteString(line)
		}
	}
	return out.String()
}
