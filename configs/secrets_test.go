package configs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inArguments is a secret where every user of the host can read it: an argument of a
// command, or a line of a unit, which is no file of root's alone.
var inArguments = regexp.MustCompile(`--from-literal|[A-Za-z]*PASSWORD=\S|https?://[^/\s]*/\S*(?:hook|TOKEN|token)|(?:Exec\w+|Environment|\$ |#   [a-z]).*://[^\s:/]+:[^\s@]+@`)

func TestExamplesPassNoSecretAsAnArgument(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		for line := range strings.SplitSeq(string(content), "\n") {
			if found := inArguments.FindString(line); found != "" && !strings.Contains(line, "dsn = ") && !strings.Contains(line, "cat > ") {
				t.Errorf("%s shows %q: %s", path, found, line)
			}
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Fatalf("%d files, %v", seen, err)
	}
	for path, wants := range map[string][]string{
		"systemd/notify-on-failure.conf":       {"install -m 0600 /dev/stdin /etc/multica/notify-url", "LoadCredential=notify-url:", "--config ${CREDENTIALS_DIRECTORY}/notify-url"},
		"systemd/ping.conf":                    {"install -m 0600 /dev/stdin /etc/multica/ping-url"},
		"systemd/multica-rollup-ping@.service": {"LoadCredential=ping-url:/etc/multica/ping-url", "--config -'"},
		"cron.d/multica-rollup":                {"install -D -m 0600 rollup.toml"},
		"compose/compose.rollup.yaml":          {"install -d -m 0700 multica-rollup", "install -m 0444 /dev/stdin dsn", "MULTICA_ROLLUP_DSN_FILE: /run/secrets/dsn"},
		"compose/compose.overlay.yaml":         {"install -d -m 0700 multica-rollup", "install -m 0444 /dev/stdin multica-rollup/dsn", "MULTICA_ROLLUP_DSN_FILE: /run/secrets/dsn"},
		"kubernetes/cronjob.yaml":              {"--from-file=DATABASE_URL=/dev/stdin"},
	} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(content), want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
}
