package rollup

import (
	"embed"

	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql
var sqlFiles embed.FS

// statement returns an embedded statement. A line "-- include NAME" stands for
// the part of that name, which several statements share. Lines that end in
// "-- 213" are left out for databases without the cost columns.
func statement(name string, costs bool) string { return sqltext.Files{FS: sqlFiles}.For(name, costs) }
