package throttle

import (
	"embed"

	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

func statement(name string) string { return sqltext.Files{FS: sqlFiles}.Statement(name) }
