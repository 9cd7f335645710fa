// Package scheduler finds who else rolls up a database from inside it. Its
// table of kinds is the one place that knows which there are: what reads them,
// what texts call them, and how they are ended.
package scheduler

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pgcron/catalog"
)

// Kind is a way to have a database rolled up from inside it.
type Kind struct {
	Name   string // in JSON
	Called string // in texts, before what one is in particular; "" where that says it all
	// Beside is what pgcron install tells its user to do about it, who wants a job.
	Beside string
	// Read lists those of the kind. What our role may not read is left out: doctor
	// says which privileges are missing.
	Read func(context.Context, Source) ([]Scheduler, error)
}

// Source is where schedulers are looked for.
type Source struct {
	Conn     *pgx.Conn
	Settings pg.TxSettings // of each transaction
	Database string        // that of Conn
	Cron     catalog.State // pg_cron, which has been read before
}

// Scheduler is somebody else who rolls up the database.
type Scheduler struct {
	Kind     string     // as JSON has it
	Called   string     // as texts have it; "" where Detail says it all
	Beside   string     // what to do about it where a job of pg_cron is wanted
	Detail   string     // what it runs, in a few words
	InFull   string     // the same in all particulars
	Schedule string     // as it is written there; "" where it has none
	Active   bool       // it runs, as far as can be seen
	LastRun  *time.Time // nil where it has none or may not be read
	LastOK   *bool      // how its last run ended; nil where that is not known
	Stop     Stop
}

// Title names it in a few words.
func (s Scheduler) Title() string { return strings.TrimPrefix(s.Called+" "+s.Detail, " ") }

// Stop is how to leave the roll-up to another: one of these.
type Stop struct {
	Command       string // words of this program
	SQL, Database string // a statement, and the database to give it to
	Setting       string // of this program, which steps back from one that cannot be ended
}

// Read lists the schedulers of all kinds, in the order of the kinds.
func Read(ctx context.Context, kinds []Kind, from Source) ([]Scheduler, error) {
	var all []Scheduler
	for _, k := range kinds {
		list, err := k.Read(ctx, from)
		if err != nil {
			return nil, fmt.Errorf("reading other schedulers (%s): %w", k.Name, err)
		}
		for _, s := range list {
			s.Kind, s.Called, s.Beside = k.Name, k.Called, k.Beside
			all = append(all, s)
		}
	}
	return all, nil
}
