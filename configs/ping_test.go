package configs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pingScript returns what the ping's unit gives to the shell, as systemd understands it. The end-to-end tests have
// systemd itself do so.
func pingScript(t *testing.T, instance string) string {
	t.Helper()
	unit, err := os.ReadFile("systemd/multica-rollup-ping@.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ExecStart=/bin/sh -c '(.*)'$`).FindSubmatch(unit)
	if m == nil {
		t.Fatalf("no script in:\n%s", unit)
	}
	return strings.NewReplacer("%%", "%", "%i", instance, "$$", "$", `\\`, `\`, `\n`, "\n").Replace(string(m[1]))
}

func TestThePingHasItsAddressInNoArgument(t *testing.T) {
	dir := t.TempDir()
	const curl = "#!/bin/sh\necho \"arguments: $*\"\necho \"input: $(cat)\"\n"
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(curl), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://switch.example/5ecret", "https://switch.example/5ecret/\n"} {
		if err := os.WriteFile(filepath.Join(dir, "ping-url"), []byte(address), 0o600); err != nil {
			t.Fatal(err)
		}
		for instance, want := range map[string]string{"success": "", "exit-code": "/fail", "timeout": "/fail"} {
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", pingScript(t, instance))
			cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "CREDENTIALS_DIRECTORY=" + dir}
			out, err := cmd.CombinedOutput()
			arguments, input, _ := strings.Cut(string(out), "\n")
			if err != nil || strings.TrimSpace(input) != `input: url = "https://switch.example/5ecret`+want+`"` || strings.Contains(arguments, "5ecret") {
				t.Errorf("%s: %v: %s", instance, err, out)
			}
		}
	}
}
