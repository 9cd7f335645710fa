// Package sqltext gives access to the SQL statements that packages embed: one file a statement, in the
// folder sql, and in sql/part what several statements share. The files are templates of text/template,
// so that the columns of a generation come from one list instead of being written in each statement.
package sqltext

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
	"text/template"
)

// Statements are the statements of one package.
type Statements struct{ load func() *template.Template }

// Embedded returns the statements of files, embedded by //go:embed sql. In them {{template "NAME" .}}
// stands for sql/part/NAME.sql, or for part/NAME.sql of one of the shared file systems. They are parsed
// when the first is asked for.
func Embedded(files fs.FS, shared ...fs.FS) Statements {
	return Statements{load: sync.OnceValue(func() *template.Template {
		all := template.New("").Option("missingkey=error")
		for _, from := range append([]fs.FS{files}, shared...) {
			for _, pattern := range []string{"sql/*.sql", "sql/part/*.sql", "part/*.sql"} {
				add(all, from, pattern)
			}
		}
		return all
	})}
}

func add(all *template.Template, from fs.FS, pattern string) {
	names, err := fs.Glob(from, pattern)
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			panic(err)
		}
		short := strings.TrimSuffix(path.Base(name), ".sql")
		if all.Lookup(short) != nil {
			panic(errors.New("two statements are named " + short))
		}
		template.Must(all.New(short).Parse(string(text)))
	}
}

// Text returns a statement, made with the columns or whatever else its file asks for. It panics where
// there is no such statement or data lacks something: both are constants of the package that embeds.
func (s Statements) Text(name string, data any) string {
	t := s.load().Lookup(name)
	if t == nil {
		panic(errors.New("no statement " + name))
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		panic(err)
	}
	return out.String()
}
