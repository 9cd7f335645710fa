package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup/engine"
	"github.com/multica-rollup/multica-rollup/internal/sizing"
)

// Comparing is the phase of a comparison of the engines.
const Comparing report.Phase = "comparing the engines"

// Bounds on one comparison, which holds lock 4246 and leaves dead rows behind.
const (
	windowEvents    = 200   // events of a window; fewer where the function is slow
	windowFloor     = 5     // events below which a window is not cut any further
	momentEvents    = 5_000 // events with one timestamp, beyond which they are passed over
	queueKeys       = 5_000 // queue rows that a window may take with it
	engineStatement = 4 * time.Second
	engineLock      = 500 * time.Millisecond
	enginePatience  = 20 * time.Second // for others that hold the locks
	namedRows       = 5                // differing rows named for each window
)

// EngineReport is the outcome of a comparison of the two engines.
type EngineReport struct {
	SchemaVersion int            `json:"schema_version"`
	Equal         bool           `json:"equal"`
	Target        string         `json:"target"` // host:port/database
	Database      string         `json:"database"`
	Generation    string         `json:"generation"`
	Rows          int64          `json:"rows"` // hourly rows that both wrote
	Windows       []EngineWindow `json:"windows"`
	Skipped       []string       `json:"skipped,omitempty"` // what could not be compared, and why
	Seconds       float64        `json:"duration_seconds"`
}

// EngineWindow is one window that both engines rolled up.
type EngineWindow struct {
	Kind            string          `json:"kind"` // recent, history or queue
	From            time.Time       `json:"from"` // by event time
	To              time.Time       `json:"to"`
	Events          int64           `json:"events"` // or queue rows
	Keys            int64           `json:"keys"`   // hourly keys that they touch
	Rows            int64           `json:"rows"`   // hourly rows that the function wrote for these
	SetSeconds      float64         `json:"set_seconds"`
	FunctionSeconds float64         `json:"function_seconds"`
	Differences     []RowDifference `json:"differences,omitempty"` // the first of them
}

// Set returns how long the set engine took.
func (w EngineWindow) Set() time.Duration { return time.Duration(w.SetSeconds * float64(time.Second)) }

// Function returns how long the database's function took.
func (w EngineWindow) Function() time.Duration {
	return time.Duration(w.FunctionSeconds * float64(time.Second))
}

// RowDifference is an hourly row as each engine left it, as JSON, or "no row".
type RowDifference struct {
	Set      string `json:"set"`
	Function string `json:"function"`
}

// Engines has both engines roll up the same sample of windows and compares what
// they wrote: recent ones, random ones of history, and the queue. The rows are
// spoiled before, so that both have to write them; all of it is rolled back.
func (v *Verifier) Engines(ctx context.Context) (*EngineReport, error) {
	started := time.Now()
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	v.phase(Comparing)
	set, function, err := v.bothEngines()
	if err != nil {
		return nil, err
	}
	r := &EngineReport{
		SchemaVersion: SchemaVersion, Equal: true, Target: v.scan.connector.Target(), Database: v.scan.pipe().Database,
		Generation: string(v.scan.pipe().Generation), Windows: []EngineWindow{},
	}
	s := &sampler{v: v, set: set, function: function, events: sizing.Fixed(windowEvents, windowFloor), r: r}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	if len(r.Windows) == 0 {
		why := "there is no usage yet"
		if len(r.Skipped) > 0 {
			why = strings.Join(r.Skipped, "; ")
		}
		return nil, problem.New(problem.TryAgain, "multica-rollup status", "the engines could not be compared: %s", why)
	}
	r.Seconds = time.Since(started).Seconds()
	v.st.Phase, v.st.Finished = report.Done, time.Now()
	return r, nil
}

func (v *Verifier) bothEngines() (set, function engine.Engine, err error) {
	if err := v.scan.pipe().Writable(v.scan.connector.Target()); err != nil { // they write to be compared
		return nil, nil, err
	}
	if len(v.scan.pipe().Obstacles) > 0 {
		return nil, nil, problem.New(problem.Config, "nothing is wrong with that: run uses the database's own function here",
			"the set engine does not know this database, so there is nothing to compare: %s", strings.Join(v.scan.pipe().Obstacles, "; "))
	}
	if set, _, err = engine.Choose("set", v.scan.pipe()); err != nil {
		return nil, nil, err
	}
	function, _, err = engine.Choose("function", v.scan.pipe())
	return set, function, err
}

// errUndone ends a transaction that must leave nothing behind.
var errUndone = errors.New("rolled back on purpose")

// compareWindow has both engines work on one window in one transaction, one
// snapshot and one holding of the lock, and rolls it back.
func (s *sampler) compareWindow(ctx context.Context, w *EngineWindow) error {
	v := s.v
	settings := pg.TxSettings{
		LockTimeout: engineLock, StatementTimeout: engineStatement, RepeatableRead: true, NoClientCheck: !v.scan.pipe().ClientCheck,
		Silence: v.scan.session.Silence(),
	}
	err := v.scan.inTx(ctx, settings, func(tx pgx.Tx) error {
		// Not waited for: the snapshot would be older than the lock.
		if err := pg.TryLock(ctx, tx); err != nil {
			return err
		}
		keys, err := s.keys(ctx, tx, w)
		if err != nil {
			return err
		}
		w.Keys = int64(len(keys))
		if err := s.mend(ctx, tx, w, keys); err != nil {
			return err
		}
		bySet, took, err := s.attempt(ctx, tx, w, keys, s.set)
		if err != nil {
			return err
		}
		w.SetSeconds = took.Seconds()
		byFunction, took, err := s.attempt(ctx, tx, w, keys, s.function)
		if err != nil {
			return err
		}
		w.FunctionSeconds = took.Seconds()
		w.Rows, w.Differences = int64(len(byFunction.rows)), differences(bySet, byFunction, len(keys))
		return errUndone
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}

// mend makes all rows of the window's hours right. The set engine rights, with a
// key, others of its hour, which the function leaves as they are: wrong ones
// would be told as a difference between the two.
func (s *sampler) mend(ctx context.Context, tx pgx.Tx, w *EngineWindow, keys []Key) error {
	hours, _ := arrays(keys)
	hours = slices.DeleteFunc(distinct(hours), func(h time.Time) bool { return !h.Truncate(time.Hour).Equal(h) })
	if len(hours) == 0 {
		return nil
	}
	_, err := s.set.Roll(ctx, tx, engine.Slice{From: w.From, To: w.To, Pass: engine.Pass{Start: w.From, End: w.To}, Hours: hours})
	return err
}

// outcome is what an engine left behind.
type outcome struct {
	rows map[int64]string // of the window's keys, by their place
	sum  string           // of all rows of these hours, and the queue's length
}

// attempt spoils the rows of the keys, has an engine roll them up, reads them, and takes it all back.
func (s *sampler) attempt(ctx context.Context, tx pgx.Tx, w *EngineWindow, keys []Key, e engine.Engine) (o outcome, took time.Duration, err error) {
	point, err := tx.Begin(ctx)
	if err != nil {
		return o, 0, fmt.Errorf("setting a savepoint: %w", err)
	}
	defer pg.Rollback(ctx, point)
	// The function takes the queue along with every window; where that is not
	// what is compared, the queue is set aside, for both alike.
	if w.Kind != kindQueue {
		if _, err := point.Exec(ctx, "delete from task_usage_hourly_dirty where enqueued_at < $1", w.To); err != nil {
			return o, 0, fmt.Errorf("setting the queue aside: %w", err)
		}
	}
	if err := spoil(ctx, point, keys); err != nil {
		return o, 0, err
	}
	started := time.Now()
	if err := roll(ctx, point, e, w); err != nil {
		return o, 0, err
	}
	took = time.Since(started)
	o.rows = map[int64]string{}
	err = eachRow(ctx, point, keys, func(place int64, _, row string) { o.rows[place] = row })
	if err != nil {
		return o, 0, err
	}
	hours, _ := arrays(keys)
	var n, queued int64
	var sum string
	if err := point.QueryRow(ctx, statement("engine_sum"), distinct(hours)).Scan(&n, &sum, &queued); err != nil {
		return o, 0, fmt.Errorf("reading what an engine wrote: %w", err)
	}
	o.sum = fmt.Sprintf("%d rows in these hours with checksum %s, %d keys queued", n, sum, queued)
	return o, took, nil
}

// spoil deletes a third of the keys' rows and makes another third wrong.
func spoil(ctx context.Context, tx pgx.Tx, keys []Key) error {
	gone, wrong := []string{}, []string{}
	err := eachRow(ctx, tx, keys, func(place int64, ctid, _ string) {
		switch place % 3 {
		case 0:
			gone = append(gone, ctid)
		case 1:
			wrong = append(wrong, ctid)
		}
	})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, statement("engine_spoil"), gone, wrong); err != nil {
		return fmt.Errorf("spoiling hourly rows: %w", err)
	}
	return nil
}

func eachRow(ctx context.Context, tx pgx.Tx, keys []Key, do func(place int64, ctid, row string)) error {
	hours, texts := arrays(keys)
	rows, err := tx.Query(ctx, statement("engine_rows"), hours, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5])
	if err != nil {
		return fmt.Errorf("reading hourly rows: %w", err)
	}
	var place int64
	var ctid, row string
	if _, err := pgx.ForEachRow(rows, []any{&place, &ctid, &row}, func() error { do(place, ctid, row); return nil }); err != nil {
		return fmt.Errorf("reading hourly rows: %w", err)
	}
	return nil
}

// differences lists the first rows that the engines left different.
func differences(bySet, byFunction outcome, keys int) []RowDifference {
	var list []RowDifference
	named := func(row string) string {
		if row == "" {
			return "no row"
		}
		return row
	}
	for place := int64(1); place <= int64(keys) && len(list) < namedRows; place++ {
		if bySet.rows[place] != byFunction.rows[place] {
			list = append(list, RowDifference{Set: named(bySet.rows[place]), Function: named(byFunction.rows[place])})
		}
	}
	if len(list) == 0 && bySet.sum != byFunction.sum {
		list = append(list, RowDifference{Set: bySet.sum, Function: byFunction.sum})
	}
	return list
}

// roll has an engine work off the queue or roll up a window.
func roll(ctx context.Context, tx pgx.Tx, e engine.Engine, w *EngineWindow) (err error) {
	if w.Kind == kindQueue {
		_, err = e.RollQueue(ctx, tx, w.To, queueKeys)
	} else {
		_, err = e.Roll(ctx, tx, engine.Slice{From: w.From, To: w.To, Pass: engine.Pass{Start: w.From, End: w.To}})
	}
	return err
}
