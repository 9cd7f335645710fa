package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/oracle.sql
var oracleSQL string

//go:embed sql/oracle_cost.sql
var oracleCostSQL string

//go:embed sql/oracle_aside.sql
var asideSQL string

//go:embed sql/rollup.sql
var rollupSQL string

//go:embed sql/rollup_cost.sql
var rollupCostSQL string

//go:embed sql/fingerprints.sql
var fingerprintsSQL string

// Querier is a connection, a pool or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Diff is one key on which raw usage and task_usage_hourly disagree.
type Diff struct {
	Kind        string // missing, extra or wrong
	BucketHour  time.Time
	WorkspaceID string
	RuntimeID   string
	AgentID     string
	ProjectID   *string
	Provider    string
	Model       string
	// Want and Got hold the counters: input, output, cache read and cache write tokens, tasks,
	// events; from 213 also cost and the uncosted tokens in the same order. Nil where there is no
	// row; a nil element of Got is an uncosted sum never computed. They are exact decimal numbers as
	// text, since a sum of counters may exceed an int64.
	Want, Got []*string
}

// String renders the difference in one line.
func (d Diff) String() string {
	project := "none"
	if d.ProjectID != nil {
		project = *d.ProjectID
	}
	return fmt.Sprintf("%s: hour %s workspace %s runtime %s agent %s project %s provider %q model %q: want %s, got %s",
		d.Kind, d.BucketHour.UTC().Format("2006-01-02T15"), d.WorkspaceID, d.RuntimeID, d.AgentID, project, d.Provider, d.Model,
		counters(d.Want), counters(d.Got))
}

// NotRecomputed reports whether the only difference is that the uncosted sums are NULL: right for
// a bucket that was rolled up before an upgrade brought the cost columns, and for no other.
func (d Diff) NotRecomputed() bool {
	const plain = 7 // counters before the uncosted ones
	if len(d.Want) <= plain || len(d.Got) != len(d.Want) {
		return false
	}
	for i, got := range d.Got {
		if i < plain && *got != *d.Want[i] || i >= plain && got != nil {
			return false
		}
	}
	return true
}

func counters(values []*string) string {
	if values == nil {
		return "no row"
	}
	flat := make([]any, len(values))
	for i, v := range values {
		if v != nil {
			flat[i] = *v
		}
	}
	return fmt.Sprint(flat)
}

// Oracle counts raw usage anew and compares it with task_usage_hourly by plain SQL over whole
// tables, in one snapshot. It returns every key that differs, none when all is right. What nothing
// can recount or store is no difference: see SetAside.
func Oracle(ctx context.Context, db Querier) ([]Diff, error) {
	return compare(ctx, db, nil)
}

// OracleBefore is Oracle without the keys that have usage or invalidations at or after the horizon
// (database time), which nobody has had to roll up yet: for databases under load.
func OracleBefore(ctx context.Context, db Querier, horizon time.Time) ([]Diff, error) {
	return compare(ctx, db, &horizon)
}

func compare(ctx context.Context, db Querier, horizon *time.Time) ([]Diff, error) {
	costs, err := hasCost(ctx, db)
	if err != nil {
		return nil, err
	}
	sql := oracleSQL
	if costs {
		sql = oracleCostSQL
	}
	rows, err := db.Query(ctx, sql, horizon)
	if err != nil {
		return nil, fmt.Errorf("asking the oracle: %w", err)
	}
	diffs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Diff])
	if err != nil {
		return nil, fmt.Errorf("asking the oracle: %w", err)
	}
	return diffs, nil
}

// Aside is what the oracle does not compare.
type Aside struct {
	// KeptRows and KeptAgents count the hourly rows of agents that do not exist any more, and these
	// agents. The rows are the only record of what those agents spent: nothing can recount them.
	KeptRows, KeptAgents int64
	// KeptTokens is the sum of the kept rows' four token counters, an exact decimal number as text.
	KeptTokens string
	// OddKeys counts the keys of raw usage and of hourly rows whose hour is not finite, or whose
	// counters sum up to more than a bigint holds. Such a bucket keeps the row that it has.
	OddKeys int64
}

// SetAside counts what the oracle leaves aside, in one snapshot and over whole tables.
func SetAside(ctx context.Context, db Querier) (Aside, error) {
	rows, err := db.Query(ctx, asideSQL)
	if err != nil {
		return Aside{}, fmt.Errorf("counting what the oracle leaves aside: %w", err)
	}
	aside, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Aside])
	if err != nil {
		return Aside{}, fmt.Errorf("counting what the oracle leaves aside: %w", err)
	}
	return aside, nil
}

// hasCost reports whether this database's usage rows carry a cost.
func hasCost(ctx context.Context, db Querier) (bool, error) {
	var costs bool
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_attribute
		WHERE attrelid = 'task_usage'::regclass AND attname = 'cost_usd_ticks' AND NOT attisdropped)`).Scan(&costs)
	if err != nil {
		return false, fmt.Errorf("looking for the cost columns: %w", err)
	}
	return costs, nil
}

// RollUp brings task_usage_hourly to where a long-running installation has it: all usage rolled
// up, nothing queued, the watermark five minutes back. Plain SQL, no engine: for tests and
// benchmarks that begin in the steady state.
func RollUp(ctx context.Context, db Querier) error {
	costs, err := hasCost(ctx, db)
	if err != nil {
		return err
	}
	sql := rollupSQL
	if costs {
		sql = rollupCostSQL
	}
	if _, err := db.Exec(ctx, sql); err != nil {
		return fmt.Errorf("rolling everything up: %w", err)
	}
	return nil
}

// GuardRefusal is migration 103's refusal to go on.
type GuardRefusal struct{ Message string }

// Error returns the guard's message as the server words it.
func (e *GuardRefusal) Error() string { return e.Message }

// GuardVerdict runs migration 103's guard. It returns nil where the migration would pass now, a
// *GuardRefusal where it would refuse, and any other error where it could not be asked.
func GuardVerdict(ctx context.Context, db Querier) error {
	guard, err := schemaFiles.ReadFile("schema/103_guard.sql")
	if err != nil {
		return fmt.Errorf("reading the guard: %w", err)
	}
	_, err = db.Exec(ctx, string(guard))
	if refusal := asRefusal(err); refusal != nil {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("asking the guard: %w", err)
	}
	return nil
}

// HookBefore103 does what `migrate up` of v0.3.17 and later does just before migration 103: it may
// stamp the watermark to five minutes ago without rolling anything up.
func HookBefore103(ctx context.Context, db Querier) error {
	hook, err := schemaFiles.ReadFile("schema/103_hook.sql")
	if err != nil {
		return fmt.Errorf("reading the hook before 103: %w", err)
	}
	if _, err := db.Exec(ctx, string(hook)); err != nil {
		return fmt.Errorf("running the hook before 103: %w", err)
	}
	return nil
}

// asRefusal returns the guard's refusal in an error, nil where there is none.
func asRefusal(err error) *GuardRefusal {
	// P0001 is raise_exception: the guard's own word.
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "P0001" {
		return &GuardRefusal{Message: pgErr.Message}
	}
	return nil
}

// Fingerprints returns, by function name, the sha256 of pg_proc.prosrc in hex, for this database's
// usage functions.
func Fingerprints(ctx context.Context, db Querier) (map[string]string, error) {
	rows, err := db.Query(ctx, fingerprintsSQL)
	if err != nil {
		return nil, fmt.Errorf("reading fingerprints: %w", err)
	}
	prints := make(map[string]string)
	var name, digest string
	_, err = pgx.ForEachRow(rows, []any{&name, &digest}, func() error {
		prints[name] = digest
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading fingerprints: %w", err)
	}
	return prints, nil
}
