// Package sqltext gives access to the SQL statements that packages embed: one
// file a statement, in the folder sql.
package sqltext

import (
	"embed"
	"strings"
)

// Files are the statements of one package, embedded by //go:embed sql.
type Files struct{ FS embed.FS }

// Statement returns the statement of this name, with all of its lines. It
// panics where there is none: names are constants of the package that embeds.
func (f Files) Statement(name string) string { return f.For(name, true) }

// For returns the statement for a database with or without the cost columns of
// migration 213: without, lines that end in "-- 213" are left out. A line
// "-- include NAME" stands for the file sql/part/NAME.sql, which several
// statements share. It panics as Statement does.
func (f Files) For(name string, costs bool) string {
	var out strings.Builder
	f.write(&out, name, costs)
	return out.String()
}

func (f Files) write(out *strings.Builder, name string, costs bool) {
	b, err := f.FS.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(b)) {
		text := strings.TrimRight(line, "\n")
		if part, ok := strings.CutPrefix(text, "-- include "); ok {
			f.write(out, "part/"+part, costs)
			continue
		}
		if costs || !strings.HasSuffix(text, "-- 213") {
			out.WriteString(line)
		}
	}
}
