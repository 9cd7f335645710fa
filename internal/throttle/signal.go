package throttle

import (
	"context"
	"embed"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/sqltext"
)

// signals are all that there are, in the order in which they are read; the
// reason of the first that pauses is shown.
var signals = [...]func(config.Backfill) (signal, error){
	pauseFile,
	window,
	activeSessions,
	lockWaiters,
	replicaLag,
}

// signal is one thing that pauses a backfill. It is read by one of two functions,
// before every slice and every poll while one pauses.
type signal struct {
	name string // as warnings say it
	key  string // of the section [backfill]
	on   bool   // the key is set to something to look at

	// host reads what needs no database.
	host func(now time.Time) reading
	// database reads what the database has. Its errors are the driver's: a refusal
	// of the server makes the signal unreadable, anything else ends the step.
	database func(ctx context.Context, q pg.Querier) (reading, error)
}

// reading is what a signal says now.
type reading struct {
	reason string // why the next slice must wait; "" where it need not
	unread string // why the signal cannot be read, in part or at all, and what to do; "" where it can
}

//go:embed sql/*.sql
var sqlFiles embed.FS

var statements = sqltext.Embedded(sqlFiles)

func statement(name string) string { return statements.Text(name, nil) }
