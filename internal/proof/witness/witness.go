// Package witness watches advisory lock 4246 while agents, backends and
// applications share a database: who holds it and since when, and how long the
// deletion of a workspace waits for it, behind whom. It serves tests.
package witness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Long is a wait that is to be accounted for: who waits gives up after ten seconds.
const Long = 5 * time.Second

// Ours begins the application name of every session of an agent.
const Ours = "multica-rollup"

// Hold is one session's holding of the lock, as far as it was seen.
type Hold struct {
	PID         int32
	Application string
	From, To    time.Time // on this host's clock
	Behind      string    // whom the holder itself last waited for
}

// Took is for how long the lock was held.
func (h Hold) Took() time.Duration { return h.To.Sub(h.From) }

func (h Hold) String() string {
	text := fmt.Sprintf("%s (pid %d) for %s since %s", h.Application, h.PID, h.Took().Round(time.Millisecond), h.From.UTC().Format("15:04:05.000"))
	if h.Behind != "" {
		text += ", itself waiting for " + h.Behind
	}
	return text
}

// Wait is one wait of a deletion.
type Wait struct {
	From, To time.Time
	Err      error // what the server said where the deletion gave up
}

// Took is how long it waited.
func (w Wait) Took() time.Duration { return w.To.Sub(w.From) }

// Witness is safe for concurrent use.
type Witness struct {
	mu    sync.Mutex
	holds []Hold
	waits []Wait
}

// holders are the sessions that hold the lock, since when, and whom they wait for.
const holders = `select l.pid, coalesce(nullif(a.application_name, ''), 'a session without a name'),
  coalesce((select string_agg(distinct coalesce(nullif(b.application_name, ''), 'a session without a name'), ', ')
            from unnest(pg_blocking_pids(l.pid)) p join pg_stat_activity b on b.pid = p), '')
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and a.datname = current_database()
  and l.classid = 0 and l.objid = 4246 and l.objsubid = 1`

// Look looks at the lock again and again until ctx ends.
func (w *Witness) Look(ctx context.Context, dsn string) error {
	conn, err := connect(dsn, "witness")
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	current := map[int32]int{} // places in w.holds
	for ctx.Err() == nil {
		seen := map[int32]int{}
		rows, err := conn.Query(context.Background(), holders)
		if err != nil {
			return fmt.Errorf("looking at the lock: %w", err)
		}
		now := time.Now()
		var h Hold
		_, err = pgx.ForEachRow(rows, []any{&h.PID, &h.Application, &h.Behind}, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			place, ok := current[h.PID]
			if !ok {
				h.From, h.To = now, now
				w.holds = append(w.holds, h)
				place = len(w.holds) - 1
			}
			w.holds[place].To = now
			if h.Behind != "" {
				w.holds[place].Behind = h.Behind
			}
			seen[h.PID] = place
			return nil
		})
		if err != nil {
			return fmt.Errorf("looking at the lock: %w", err)
		}
		current = seen
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Millisecond):
		}
	}
	return nil
}

// Delete waits for the lock as the deletion of a workspace does, again and
// again with a pause, until ctx ends.
func (w *Witness) Delete(ctx context.Context, dsn string, pause time.Duration) error {
	conn, err := connect(dsn, "deletion")
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	for ctx.Err() == nil {
		wait := Wait{From: time.Now()}
		_, wait.Err = conn.Exec(context.Background(), "begin; set local lock_timeout = '10s'; select pg_advisory_xact_lock(4246); commit")
		wait.To = time.Now()
		if wait.Err != nil {
			if _, err := conn.Exec(context.Background(), "rollback"); err != nil {
				return errors.Join(wait.Err, err)
			}
		}
		w.mu.Lock()
		w.waits = append(w.waits, wait)
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

func connect(dsn, application string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the DSN: %w", err)
	}
	config.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("connecting as %s: %w", application, err)
	}
	return conn, nil
}

// LongestHold returns the longest holding by a session whose application name
// begins so, and how many there were.
func (w *Witness) LongestHold(application string) (longest Hold, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.holds {
		if !strings.HasPrefix(h.Application, application) {
			continue
		}
		n++
		if h.Took() >= longest.Took() {
			longest = h
		}
	}
	return longest, n
}

// LongestWait returns the longest wait of a deletion, and how many there were.
func (w *Witness) LongestWait() (longest Wait, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.waits {
		if x.Took() >= longest.Took() {
			longest = x
		}
	}
	return longest, len(w.waits)
}

// LongWaits returns the waits that are to be accounted for, beside the longest.
func (w *Witness) LongWaits() (list []Wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.waits {
		if x.Took() > Long || x.Err != nil {
			list = append(list, x)
		}
	}
	return list
}

// During returns who held the lock during a wait, and for how long of it agents did.
func (w *Witness) During(wait Wait) (list []Hold, ours time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.holds {
		from, to := h.From, h.To
		if from.Before(wait.From) {
			from = wait.From
		}
		if to.After(wait.To) {
			to = wait.To
		}
		if !from.Before(to) || h.Application == "deletion" {
			continue
		}
		list = append(list, h)
		if strings.HasPrefix(h.Application, Ours) {
			ours += to.Sub(from)
		}
	}
	return list, ours
}

// Account tells each long wait, or the longest where none is, and who held the lock meanwhile.
func (w *Witness) Account() (lines []string) {
	waits := w.LongWaits()
	if longest, n := w.LongestWait(); n > 0 && len(waits) == 0 {
		waits = []Wait{longest}
	}
	for _, wait := range waits {
		held, ours := w.During(wait)
		line := fmt.Sprintf("a deletion waited for %s, of which agents held the lock for %s", wait.Took().Round(time.Millisecond), ours.Round(time.Millisecond))
		if wait.Err != nil {
			line += " and gave up (" + wait.Err.Error() + ")"
		}
		for _, h := range held {
			if h.Took() >= 100*time.Millisecond || len(held) < 4 {
				line += "\n  held by " + h.String()
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Verdict is an error for each thing that an agent is to answer for: a hold
// longer than Long, or a deletion that waited longer than that because of agents alone.
func (w *Witness) Verdict() error {
	var faults []error
	if h, _ := w.LongestHold(Ours); h.Took() > Long {
		faults = append(faults, fmt.Errorf("the lock was held by %s", h))
	}
	for _, wait := range w.LongWaits() {
		if _, ours := w.During(wait); ours > Long {
			faults = append(faults, fmt.Errorf("a deletion waited for %s, of which agents held the lock for %s", wait.Took(), ours))
		}
	}
	return errors.Join(faults...)
}
