package rollup_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestAnHourWhoseRowsWereAllCorrectedInALaterSliceIsRolledUp(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	// More events than the first slice takes.
	seed(t, db.Conn, lab.Typical(1, 20_000))
	exec(t, db.Conn, `UPDATE task_usage SET updated_at = (SELECT max(updated_at) FROM task_usage)
		WHERE date_trunc('hour', created_at, 'UTC') = (SELECT min(date_trunc('hour', created_at, 'UTC')) FROM task_usage)`)
	newAgent(t, db, "set").run()
	exact(t, db.Conn)
}
