package pipeline

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/instant"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// CommitLag is how far every roll-up, Multica's own and ours, stays behind the clock: what a transaction writes
// carries the time of its beginning.
const CommitLag = 5 * time.Minute

// Parts are parts of statements for the packages that ask more than one thing in one snapshot:
//   - state_row, the pipeline's state row, as ReadState returns it.
//
//go:embed part/*.sql
var Parts embed.FS

// StateRow is the pipeline's state row. Times are bounded by the years 2 and 9998, since a row may hold infinite ones.
type StateRow struct {
	Watermark time.Time
	Started   time.Time // of the last run; zero where there was none
	Finished  time.Time // likewise
	Rows      int64     // hourly rows that it wrote
	Error     string    // how it failed; "" where it did not
	Now       time.Time // the database's clock
}

// ReadState reads the state row, with the database's clock. It fails with a problem of kind Config where there is none.
func ReadState(ctx context.Context, q pg.Querier, database string) (StateRow, error) {
	var s StateRow
	var started, finished *time.Time
	err := q.QueryRow(ctx, query("state_read")).Scan(&s.Watermark, &started, &finished, &s.Rows, &s.Error, &s.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, NoStateRow(database)
	}
	if err != nil {
		return s, fmt.Errorf("reading the watermark: %w", err)
	}
	if started != nil {
		s.Started = *started
	}
	if finished != nil {
		s.Finished = *finished
	}
	return s, nil
}

// NoStateRow is the problem of a database whose state row is missing.
func NoStateRow(database string) error {
	return problem.New(problem.Config,
		"insert into task_usage_hourly_rollup_state (id) values (1)",
		"the state row of database %q is missing: task_usage_hourly_rollup_state has no id = 1", database)
}

// Advance moves the watermark to a point, or leaves it where it is beyond that, in the transaction of what was
// rolled up up to there, and keeps last_run_* as Multica's own function does: started is the start of the run,
// rows what it has written so far. It returns where the watermark will be once tx has committed.
func Advance(ctx context.Context, tx pgx.Tx, to, started time.Time, rows int64) (watermark time.Time, err error) {
	if err := tx.QueryRow(ctx, query("state_advance"), to, started, rows).Scan(&watermark); err != nil {
		return watermark, fmt.Errorf("moving the watermark to %s: %w", instant.Stamp(to), err)
	}
	return watermark, nil
}

// Rewind takes a watermark that lies in the future back to a point, and returns where it was. It fails with
// pgx.ErrNoRows where the watermark does not lie in the future.
func Rewind(ctx context.Context, tx pgx.Tx, to time.Time) (was time.Time, err error) {
	err = tx.QueryRow(ctx, query("state_rewind"), to).Scan(&was)
	return was, err
}

// SetBack takes the watermark back to a point where it lies beyond, and returns where it is then.
func SetBack(ctx context.Context, tx pgx.Tx, to time.Time) (watermark time.Time, err error) {
	if err := tx.QueryRow(ctx, query("state_back"), to).Scan(&watermark); err != nil {
		return watermark, fmt.Errorf("taking the watermark back to %s: %w", instant.Stamp(to), err)
	}
	return watermark, nil
}

// RecordError keeps in the state row why a run failed.
func RecordError(ctx context.Context, tx pgx.Tx, started time.Time, text string) error {
	_, err := tx.Exec(ctx, query("state_error"), started, text)
	return err
}

// LeftByRun says whether the watermark is where a run that ended well has left it: at least behind before that
// run's end, which is how far every run stays behind its clock. Who stamps the watermark without rolling up
// leaves the end of an earlier run, which is too early for it.
func LeftByRun(ctx context.Context, q pg.Querier, behind time.Duration) (bool, error) {
	var ran bool
	if err := q.QueryRow(ctx, query("state_ran"), behind.Seconds()).Scan(&ran); err != nil {
		return false, fmt.Errorf("reading who moved the watermark: %w", err)
	}
	return ran, nil
}
