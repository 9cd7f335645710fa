package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

func TestARecountLostAtAnyStatementGoesOnAndCountsTheSame(t *testing.T) {
	t.Parallel()
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, 51, 500)
	p := newProxy(t, db.DSN)
	o := options(t, "set")
	run(t, db.DSN, o)
	exec1(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1 where ctid in (select ctid from task_usage_hourly order by bucket_hour limit 7)",
		"delete from task_usage_hourly where ctid in (select ctid from task_usage_hourly order by bucket_hour desc limit 5)")
	walk := config.Defaults().Walk
	walk.StatementTimeout = 6 * time.Second

	recount := func() string {
		v := verify.New(impatient(t, p.dsn, "verify"), verify.Options{
			Known: pipeline.Shipped(), Walk: walk, Reconnect: labtest.Guard, StateDir: o.StateDir, List: 20, Log: o.Log,
		})
		defer v.Close(context.Background())
		r, err := v.Verify(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d usage rows, %d hourly rows, wrong %+v, %d named", r.UsageRows, r.HourlyRows, r.Wrong, len(r.First))
	}
	var want string
	total := p.statements(func() { want = recount() })
	t.Logf("%d statements: %s", total, want)
	opened := opening(t, p, o) - 2 // a walk's looking around has two more: the clock and the span
	for _, f := range []fate{unsent, unheard, swallowed, frozen} {
		for n := opened + 1; n <= total; n++ {
			if (f == swallowed || f == frozen) && !thorough() && n%4 != 0 {
				continue
			}
			met := p.arrange(n, f, nil)
			if got := recount(); got != want {
				t.Errorf("statement %d of %d %s: %s, want %s", n, total, f, got, want)
			}
			select {
			case <-met:
			default:
				t.Errorf("statement %d of %d did not come", n, total)
			}
		}
	}
}
