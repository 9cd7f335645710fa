package rollup_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// TestTwoHostsDeferNothingForEachOther has two state directories take turns. Each
// takes the other's step of the watermark for a gap, and has rolled it up again
// by the end of its own tick; what that costs is logged.
func TestTwoHostsDeferNothingForEachOther(t *testing.T) {
	const rounds = 12
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			read := map[int]int64{}
			written := map[int]int64{}
			for _, hosts := range []int{1, 2} {
				db := labtest.New(t, lab.Gen272)
				seed(t, db.Conn, lab.Typical(62, 200))
				var agents []*agent
				for range hosts {
					agents = append(agents, newAgent(t, db, engine).atOnce())
				}
				agents[0].run()
				agents[hosts-1].run()
				for n := range rounds {
					use(t, db.Conn, fmt.Sprintf("round-%d", n))
					if n%4 == 3 { // a correction of what both have rolled up
						exec(t, db.Conn, "update task_usage set input_tokens = input_tokens + 1, updated_at = now() where model = $1", fmt.Sprintf("round-%d", n-2))
					}
					a := agents[n%hosts]
					st := a.run()
					read[hosts] += st.Read
					written[hosts] += st.Rows
					exact(t, db.Conn)
					a.owes()
				}
			}
			t.Logf("%d ticks of one host read %d usage rows and write %d hourly rows; of two hosts in turn %d and %d",
				rounds, read[1], written[1], read[2], written[2])
			most := written[1]
			if engine == "function" {
				most *= 2 // it writes what is right already once more
			}
			if read[2] > 2*read[1] || written[2] > most {
				t.Errorf("two hosts read %d usage rows where one reads %d, and write %d hourly rows where one writes %d", read[2], read[1], written[2], written[1])
			}
		})
	}
}

// TestTwoHostsSettleForThemselvesWhatATransactionLeftBehind: it was open when either passed it.
func TestTwoHostsSettleForThemselvesWhatATransactionLeftBehind(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	seed(t, db.Conn, lab.Typical(63, 100))
	agents := []*agent{newAgent(t, db, "set").atOnce(), newAgent(t, db, "set").atOnce()}
	for n := range 6 {
		tx, _ := open(t, db)
		if _, err := tx.Exec(t.Context(), `insert into task_usage (task_id, provider, model, input_tokens)
			select id, 'lab', $1, 3 from agent_task_queue where runtime_id is not null order by id limit 20`, fmt.Sprintf("late-%d", n)); err != nil {
			t.Fatal(err)
		}
		agents[n%2].run()
		agents[(n+1)%2].run()
		if err := tx.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, a := range agents {
			a.run()
			exact(t, db.Conn)
			a.owes()
		}
	}
}
