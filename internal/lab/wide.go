package lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
)

// wideColumns are the columns that Shape.Wide fills, as wide in the real and in about this order.
var wideColumns = []string{
	"workspace_id", "requested_by", "parent_task_id", "root_task_id", "comment_id", "chat_id", "lease_id",
	"session_id", "working_directory", "branch", "summary", "repository", "base_commit", "head_commit",
	"context", "result", "overlays", "queued_at", "dispatched_at", "started_at", "updated_at", "turns", "output_bytes",
}

// Sizes of the wide columns' texts, in bytes.
const (
	summaryBytes   = 90
	outOfLineBytes = 4096 // beyond the 2 kB from which PostgreSQL stores a value out of line
	outOfLineShare = 3    // one task of so many has such a result
	poolBytes      = 1 << 20
)

// wide makes the values of wideColumns, the same ones for the same seed.
type wide struct {
	r    *rand.Rand
	pool string // random base64, of which slices are taken: it does not compress
}

func newWide(seed uint64) *wide {
	r := rand.New(rand.NewPCG(seed, 3))
	raw := make([]byte, poolBytes)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return &wide{r: r, pool: base64.StdEncoding.EncodeToString(raw)}
}

func (w *wide) text(n int) string {
	at := w.r.IntN(len(w.pool) - n)
	return w.pool[at : at+n]
}

// values returns one task's.
func (w *wide) values(t taskRow) []any {
	id := func() uuid { return newUUID(w.r) }
	result := "{}"
	if w.r.IntN(outOfLineShare) == 0 {
		result = `{"text":"` + w.text(outOfLineBytes) + `"}`
	}
	branch := w.text(24)
	return []any{
		id(), id(), id(), id(), id(), id(), id(),
		w.text(36), "/srv/agents/" + branch, "agent/" + branch, w.text(summaryBytes), "https://git.example/acme/" + branch[:8], w.text(40), w.text(40),
		`{"key":"` + w.text(24) + `"}`, result, `[]`, t.created, t.created, t.created, t.ended, w.r.Int32N(200), w.r.Int64N(1 << 20),
	}
}

// hasWide reports whether this database's tasks have the columns of the newest release.
func hasWide(ctx context.Context, db Querier) (bool, error) {
	var n int
	err := db.QueryRow(ctx, `SELECT count(*) FROM pg_attribute
		WHERE attrelid = 'agent_task_queue'::regclass AND attname = ANY ($1) AND NOT attisdropped`, wideColumns).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("looking for the tasks' columns: %w", err)
	}
	return n == len(wideColumns), nil
}

// TaskBytes returns how many bytes a row of agent_task_queue takes in the heap, and with what is
// stored out of line; zeros where there is no row.
func TaskBytes(ctx context.Context, db Querier) (heap, total int64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(pg_relation_size('agent_task_queue') / nullif(n, 0), 0),
		coalesce(pg_table_size('agent_task_queue') / nullif(n, 0), 0) FROM (SELECT count(*) n FROM agent_task_queue) x`).Scan(&heap, &total)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the size of the tasks: %w", err)
	}
	return heap, total, nil
}
