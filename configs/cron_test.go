package configs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// crontab returns the settings and the one entry of the file for /etc/cron.d.
func crontab(t *testing.T) (settings []string, schedule, user, command string) {
	t.Helper()
	data, err := os.ReadFile("cron.d/multica-rollup")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(data), "\n") {
		t.Fatal("cron ignores a last line without its end")
	}
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(line, "#"):
		case !strings.Contains(line, " ") && strings.Contains(line, "="):
			settings = append(settings, line)
		case command != "":
			t.Fatalf("a second entry: %q", line)
		case len(fields) < 7:
			t.Fatalf("no entry of /etc/cron.d: %q", line)
		default:
			schedule, user, command = strings.Join(fields[:5], " "), fields[5], strings.Join(fields[6:], " ")
		}
	}
	return settings, schedule, user, command
}

func TestTheCronEntryRollsUpAndIsSilentWhenAllIsWell(t *testing.T) {
	settings, schedule, user, command := crontab(t)
	if schedule != "*/5 * * * *" || user != "root" {
		t.Errorf("schedule %q, user %q", schedule, user)
	}
	// An unescaped percent sign ends a command of cron's.
	if !slices.Contains(settings, "MAILTO=root") || strings.Contains(command, "%") {
		t.Errorf("cron would not read the entry as it is meant: %q, %q", settings, command)
	}

	db := newDatabases(t)(t, "cron", lab.Gen272)
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "multica-rollup"), "../cmd/multica-rollup")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	// The lab's functions are not Multica's own, which a warning would say.
	cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "MULTICA_ROLLUP_DSN=" + db.dsn, "MULTICA_ROLLUP_ENGINE=set", "MULTICA_ROLLUP_STATE_DIR=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v, and a mail every five minutes: %q", err, out)
	}
	db.wantCurrent(t)
}
