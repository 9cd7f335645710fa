package verify

import (
	"embed"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

//go:embed sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles, pipeline.Parts)

// statement returns an embedded statement that is the same for every generation.
func statement(name string) string { return statements.Text(name, nil) }
