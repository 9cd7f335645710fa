package verify_test

import (
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

// TestACleanRecountOfAllHistoryProves: with the function engine it is what proves. A recount of a part, one that finds something, and
// one of another life of the database prove nothing.
func TestACleanRecountOfAllHistoryProves(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *verify.Options, now *ledger.Incarnation)
		wrong  bool
		proven bool
	}{
		"all of it":    {func(*verify.Options, *ledger.Incarnation) {}, false, true},
		"a part":       {func(o *verify.Options, _ *ledger.Incarnation) { o.Since = verify.Since{Ago: 24 * time.Hour} }, false, false},
		"a difference": {func(*verify.Options, *ledger.Incarnation) {}, true, false},
		"another life": {func(_ *verify.Options, now *ledger.Incarnation) { now.Database++ }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			db := rolledUp(t, lab.Gen272, lab.Typical(71, 200))
			o := options(t)
			p, err := pipeline.Inspect(t.Context(), db.Conn, pipeline.Shipped())
			if err != nil {
				t.Fatal(err)
			}
			now, _, err := p.ReadIncarnation(t.Context(), db.Conn)
			if err != nil {
				t.Fatal(err)
			}
			c.change(&o, &now)
			if err := remembered(t, db, o).Update(func(m *ledger.Memory) { m.Enter(now, nil, time.Now()) }); err != nil {
				t.Fatal(err)
			}
			if c.wrong {
				exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1 where ctid = (select min(ctid) from task_usage_hourly)")
			}
			recount(t, db.DSN, o)
			m, err := remembered(t, db, o).Load()
			if err != nil {
				t.Fatal(err)
			}
			if m.Proven.All() != c.proven {
				t.Errorf("proven are %v, want all: %t", m.Proven, c.proven)
			}
		})
	}
}
