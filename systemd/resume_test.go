package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestARefusedBackfillKeepsNoOtherFromBeingResumed(t *testing.T) {
	state, bin := t.TempDir(), t.TempDir()
	for _, name := range []string{"a.backfill.json", "first/b.backfill.json", "second/c.backfill.json", "third/other.json"} {
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A systemctl that knows no unit of the first instance, as after its configuration was removed.
	told := filepath.Join(bin, "told")
	script := "#!/bin/sh\nfor unit; do :; done\necho \"$unit\" >> " + told + "\ncase $unit in *@first.service) exit 5 ;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "resume-backfills", state)
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	output, err := command.CombinedOutput()
	if command.ProcessState.ExitCode() != 5 {
		t.Errorf("it ends with %v, want the code of what was refused: %s", err, output)
	}
	started, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	want := "multica-rollup-backfill.service multica-rollup-backfill@first.service multica-rollup-backfill@second.service"
	if got := strings.Join(strings.Fields(string(started)), " "); got != want {
		t.Errorf("started %s, want %s", got, want)
	}
}
