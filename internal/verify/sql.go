package verify

import (
	"embed"

	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statement returns an embedded statement. Lines that end in "-- 213" are left
// out for databases without the cost columns.
func statement(name string, costs bool) string { return sqltext.Files{FS: sqlFiles}.For(name, costs) }
