package throttle

import "embed"

//go:embed sql/*.sql
var sqlFiles embed.FS

func statement(name string) string {
	b, err := sqlFiles.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return string(b)
}
