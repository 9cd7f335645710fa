package pg

import (
	"embed"

	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func statement(name string) string { return statements.Text(name, nil) }
