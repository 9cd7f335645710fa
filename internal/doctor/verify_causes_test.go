package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// recountCauses are those whose fix is verify --repair.
func recountCauses(gen lab.Generation) []cause {
	return []cause{
		{
			name: "a changed counter, " + string(gen), gen: gen, id: "drift", verdict: doctor.Warning, fix: "verify --repair", says: "1 hourly key wrong",
			make: func(p *patient) {
				p.exec(`update task_usage_hourly set input_tokens = input_tokens + 1
					where ctid = (select ctid from task_usage_hourly order by bucket_hour limit 1)`)
				p.fails("verify")
			},
		}, {
			name: "a damaged memory, " + string(gen), gen: gen, id: "memory", verdict: doctor.Warning, fix: " backfill", says: "damaged",
			make: func(p *patient) {
				p.run()
				p.damage()
			},
		},
	}
}

// damage writes nonsense into the state files.
func (p *patient) damage() {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "state", "*.json"))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("there is no state to damage: %v", err)
	}
	for _, path := range files {
		if err := os.WriteFile(path, []byte("{"), 0o640); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestDeletedAgentsAreInformation: their hourly rows are kept on purpose, so nothing is to be done.
func TestDeletedAgentsAreInformation(t *testing.T) {
	p := newPatient(t, lab.Gen272)
	p.exec("delete from agent where id = (select agent_id from task_usage_hourly order by bucket_hour limit 1)")
	r := p.examine("orphans")
	if r.Verdict != doctor.OK || !strings.Contains(text(r), "orphans") {
		t.Fatalf("not information:\n%s", text(r))
	}
	if f := r.Findings[len(r.Findings)-1]; f.ID != "orphans" || f.Summary != "the hourly rows of 1 deleted agent are kept" {
		t.Errorf("%s: %q", f.ID, f.Summary)
	}
}
