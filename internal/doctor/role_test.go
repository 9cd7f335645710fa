package doctor_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// TestTheLeastPrivilegedRoleIsEnough runs every command as the role that
// role.sql makes, while another role's session is open.
func TestTheLeastPrivilegedRoleIsEnough(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen213, lab.Gen272, lab.GenInterrupted} {
		t.Run(string(gen), func(t *testing.T) {
			p := newPatient(t, gen)
			p.unroll()
			role := p.agent()
			var super bool
			if p.get(&super, "select rolsuper from pg_roles where rolname = $1", role); super {
				t.Fatal("the role is a superuser")
			}
			p.connect()
			p.configure()
			for _, command := range []string{
				"guard --fix", "run", "backfill --restart", "verify", "verify --engines", "status", "guard",
			} {
				p.cli("multica-rollup --config " + p.configPath() + " " + command)
			}
			// What only a recount finds, and only a right on the queue mends.
			p.exec("delete from agent where id = (select agent_id from task_usage_hourly order by bucket_hour limit 1)")
			p.cli("multica-rollup --config " + p.configPath() + " verify --repair")
			diffs, err := lab.Oracle(t.Context(), p.conn)
			if err != nil || len(diffs) > 0 {
				t.Fatalf("%d hourly rows differ from the raw usage, first %v: %v", len(diffs), diffs, err)
			}
			p.wellNow()
		})
	}
}
