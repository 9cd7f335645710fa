package rollup_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

func TestTheDatabasesFunctionIsTriedOnLittleFirst(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(61, 4000))
	a := newAgent(t, db, "function")
	var first int64
	a.opts.Observe = func(st *report.State) {
		if st.Slices == 1 && first == 0 {
			first = st.Read
		}
	}
	a.run()
	exact(t, db.Conn)
	if first == 0 || first > 1000 {
		t.Errorf("the first slice had %d events, want few: nobody knows how long the function takes, and it holds lock 4246", first)
	}
}
