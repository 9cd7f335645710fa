package cli_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/cli"
)

// documented are the exit codes that the commands promise.
var documented = []int{0, 1, 2, 3, 64, 69, 75, 77, 78}

func FuzzAnyCommandLineEndsWithADocumentedCodeAndNoSecret(f *testing.F) {
	const secret = "s3cr3tPassw0rd"
	for _, seed := range []string{
		"", "run", "run --budget 5", "run --every 1ms", "run --json --log-format json", "backfill --months-back -1", "backfill --from 2026-13-01",
		"backfill --from 2026-01-01 --months-back 2", "backfill --window 25:00-06:00", "backfill --nice NaN", "status --watch", "status --all --json",
		"verify --since 30d --repair", "verify --engines", "guard", "doctor --json", "config show", "config check", "pgcron status", "pgcron remove",
		"completion bash", "completion tcl", "version", "help backfill", "frobnicate", "run extra", "--config /dev/null run", "--config= run", "run --engine both",
		"run --log-level=\x00", "-- run", "run -h", "run --dry-run", "\xff\xfe", "run --budget 99999999999h", "config show --json extra",
	} {
		f.Add(strings.ReplaceAll(seed, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		dir := t.TempDir()
		for name, value := range map[string]string{
			// Nobody listens on the port of this address.
			"MULTICA_ROLLUP_DSN": "postgres://user:" + secret + "@127.0.0.1:1/d?connect_timeout=2", "MULTICA_ROLLUP_STATE_DIR": dir, "HOME": dir,
		} {
			t.Setenv(name, value)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond) // what watches or repeats goes on until then
		defer cancel()
		var stdout, stderr bytes.Buffer
		err := cli.Run(ctx, strings.Split(line, "\n"), strings.NewReader(""), &stdout, &stderr)
		if code := cli.ExitCode(err); !slices.Contains(documented, code) {
			t.Errorf("%q ends with exit code %d", line, code)
		}
		said := stdout.String() + stderr.String()
		if err != nil {
			said += err.Error()
		}
		if strings.Contains(said, secret) && !strings.Contains(line, secret) {
			t.Errorf("%q tells the password: %s", line, said)
		}
		if err != nil && stdout.Len()+stderr.Len() == 0 {
			t.Errorf("%q fails without a word: %v", line, err)
		}
	})
}
