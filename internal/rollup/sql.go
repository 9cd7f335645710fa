package rollup

import (
	"embed"
	"strings"
)

//go:embed sql/*.sql sql/part/*.sql
var sqlFiles embed.FS

// statement returns an embedded statement. A line "-- include NAME" stands for
// the part of that name, which several statements share. Lines that end in
// "-- 213" are left out for databases without the cost columns.
func statement(name string, costs bool) string {
	var out strings.Builder
	appendStatement(&out, name, costs)
	return out.String()
}

func appendStatement(out *strings.Builder, name string, costs bool) {
	b, err := sqlFiles.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the names are constants of this package
	}
	for line := range strings.Lines(string(b)) {
		text := strings.TrimRight(line, "\n")
		if part, ok := strings.CutPrefix(text, "-- include "); ok {
			appendStatement(out, "part/"+part, costs)
			continue
		}
		if costs || !strings.HasSuffix(text, "-- 213") {
			out.WriteString(line)
		}
	}
}
