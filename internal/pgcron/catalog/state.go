package catalog

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// State is what there is of pg_cron for one database.
type State struct {
	Server
	Jobs []Job // that roll up: those that our database keeps, then those that pg_cron's own does
	// Unseen is why the jobs of pg_cron's own database could not be read; nil where they were.
	Unseen error
}

// For returns the jobs that roll up this database.
func (s State) For(database string) []Job {
	var jobs []Job
	for _, j := range s.Jobs {
		if j.Database == database {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// Read finds out everything about pg_cron, beginning with the database of conn.
// Where pg_cron works in another one, it looks there too, over a connection of
// its own; that this cannot be done is no error. Each database is read in a
// transaction with the given settings.
func Read(ctx context.Context, conn *pgx.Conn, connector *pg.Connector, settings pg.TxSettings) (State, error) {
	settings.Filtered = true // whose own policy shows a role its own jobs
	var s State
	found := false // pg_cron's extension
	err := pg.InTx(ctx, conn, settings, func(tx pgx.Tx) (err error) {
		if s.Server, err = ReadServer(ctx, tx); err != nil {
			return err
		}
		found, err = s.add(ctx, tx, s.Database)
		return err
	})
	if err != nil {
		return State{}, err
	}
	for _, name := range s.Candidates() {
		if name == s.Database {
			if found {
				break
			}
			continue
		}
		s.Unseen = elsewhere(ctx, connector.InDatabase(name), settings, func(q pg.Querier) error {
			_, err := s.add(ctx, q, name)
			return err
		})
	}
	return s, nil
}

// add adds the jobs that a database keeps, and says whether it has the extension.
func (s *State) add(ctx context.Context, q pg.Querier, database string) (bool, error) {
	e, err := ReadExtension(ctx, q)
	if err != nil || !e.Readable {
		return e.Version != "", err
	}
	jobs, err := ReadJobs(ctx, q, database)
	s.Jobs = append(s.Jobs, jobs...)
	return true, err
}

func elsewhere(ctx context.Context, connector *pg.Connector, settings pg.TxSettings, do func(pg.Querier) error) error {
	conn, err := connector.Connect(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(ctx, conn)
	return pg.InTx(ctx, conn, settings, func(tx pgx.Tx) error { return do(tx) })
}
