package doctor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// insideVariable says that this process may mount: it has a mount namespace of its own.
const insideVariable = "DOCTOR_TEST_MOUNTS"

// mountCauses need a file system of their own.
func mountCauses() []cause {
	return []cause{{
		name: "no room for state", gen: lab.Gen272, id: "state-dir", verdict: doctor.Warning, fix: "make room on the file system of", says: "is full",
		make: func(p *patient) {
			if err := os.WriteFile(p.ballast(), make([]byte, 24<<20), 0o600); err != nil {
				p.t.Fatal(err)
			}
		},
		mend: func(p *patient) {
			if err := os.Remove(p.ballast()); err != nil {
				p.t.Fatal(err)
			}
		},
	}}
}

func (p *patient) ballast() string { return filepath.Join(p.dir, "state", "ballast") }

// TestCausesOfFileSystemsAreNamedAloneAndMended runs itself once more, in a mount
// namespace of its own, which needs no root.
func TestCausesOfFileSystemsAreNamedAloneAndMended(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		args := []string{"--mount", os.Args[0], "-test.v", "-test.run", "^" + t.Name() + "$"}
		if os.Geteuid() != 0 {
			args = append([]string{"--user", "--map-root-user"}, args...)
		}
		again := exec.CommandContext(t.Context(), "unshare", args...)
		// PostgreSQL does not start for whom it takes for root.
		again.Env = append(os.Environ(), insideVariable+"=1", labtest.DSNVariable+"="+labtest.Server(t).DSN("postgres"))
		out, err := again.CombinedOutput()
		if err != nil || strings.Count(string(out), "--- PASS: "+t.Name()+"/") != len(mountCauses()) {
			t.Fatalf("in a mount namespace (unshare, of util-linux): %v\n%s", err, out)
		}
		return
	}
	for _, c := range mountCauses() {
		t.Run(c.id+"/"+c.name, func(t *testing.T) {
			p := newPatient(t, c.gen)
			mount := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", filepath.Join(p.dir, "state"))
			if out, err := mount.CombinedOutput(); err != nil {
				t.Fatalf("mounting: %v\n%s", err, out)
			}
			t.Cleanup(func() {
				if out, err := exec.Command("umount", filepath.Join(p.dir, "state")).CombinedOutput(); err != nil {
					t.Errorf("unmounting: %v\n%s", err, out)
				}
			})
			p.prove() // in a directory that remembers nothing
			c.treat(t, p)
		})
	}
}
